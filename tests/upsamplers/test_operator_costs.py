"""What an operator says that it costs is what the built operator is counted to cost."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segup.errors import ConfigError
from segup.upsamplers import Bilinear, Upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class
from segup.upsamplers.costs import UpStep, counted

OPTIONS = {
    "deconv": [{}, {"kernel_size": 3}, {"kernel_size": 6}, {"init": "bilinear"}],
    "deconv_matched": [{}, {"rounding": "down"}, {"rounding": "mixed"}],
    "dysample": [{}, {"style": "pl"}, {"dynamic": True}, {"groups": 2}, {"style": "pl", "dynamic": True}],
    "carafe": [{}, {"kernel_size": 3, "compressed_channels": 5, "encoder_kernel": 1, "groups": 2}],
    "fade": [{}, {"kernel_size": 3, "compressed_channels": 5, "encoder_kernel": 1}],
    "sapa": [{}, {"kernel_size": 3, "compressed_channels": 5}],
    "bilinear_additive": [{}],
}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", list_upsamplers())
def test_the_cost_is_that_of_the_built_operator(name, data):
    options = data.draw(st.sampled_from(OPTIONS.get(name, [{}, {"kernel_size": 1}, {"kernel_size": 5}])))
    channels = st.integers(1, 12).map(lambda n: 4 * n) if {"style", "groups"} & options.keys() else st.integers(1, 40)
    scale = data.draw(st.integers(2, 3)) if options.get("rounding") != "mixed" else 2
    low = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    cut = data.draw(st.integers(0, scale - 1)) if options.get("rounding") != "down" else 0
    step = UpStep(
        data.draw(channels if scale == 2 else channels.map(lambda n: 9 * n)), data.draw(st.integers(1, 40)), scale, low,
        (scale * low[0] - cut, scale * low[1]), data.draw(st.integers(1, 40)),
    )  # fmt: skip
    if options.get("style") == "pl" and step.in_channels % 8:
        step = UpStep(72, step.out_channels, scale, low, step.high, step.skip_channels)
    operator = operator_class(name)
    assert operator.cost.__func__ is not Upsampler.cost.__func__
    assert operator.cost(step, **options) == counted(operator, step, options)


def test_channels_that_an_operator_cannot_have_are_refused_before_it_is_built():
    step = UpStep(10, 4, 2, (3, 3), (6, 6))
    with pytest.raises(ConfigError, match="style='pl' shuffles channels"):
        operator_class("dysample").cost(step, style="pl", groups=2)
    with pytest.raises(ConfigError, match="groups=3 must divide in_channels=10"):
        operator_class("carafe").cost(step, groups=3)


def test_an_operator_that_says_nothing_is_counted():
    class Outer(Bilinear):
        cost = classmethod(Upsampler.cost.__func__)

    step = UpStep(8, 4, 2, (5, 7), (9, 14))
    assert Outer.cost(step) == Bilinear.cost(step)
