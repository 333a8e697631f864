"""What a decoder says that it costs is what the built decoder is counted to cost."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segup.decoders import Decoder, create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.decoders.costs import CostPlan, Maps, counted
from segup.errors import ConfigError
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

SCALES = [(1, 2, 4), (2, 4, 8, 16), (4, 8, 16, 32), (2, 4, 8, 16, 32), (4, 12, 24)]


@st.composite
def pyramids(draw, even_first=False):
    strides = draw(st.sampled_from(SCALES[1:] if even_first else SCALES))
    image = draw(st.tuples(st.integers(33, 70), st.integers(33, 70)))
    channels = tuple(draw(st.integers(2, 12)) * 4 for _ in strides)
    sizes = tuple((-(-image[0] // stride), -(-image[1] // stride)) for stride in strides)
    return Maps(channels, strides, sizes, image)


def options_of(topology, draw, maps):
    given = {"num_classes": draw(st.integers(2, 5))} if topology_class(topology).gives_scores else {}
    least = {"unet": 1, "fpn": 1, "deeplabv3plus": 1}.get(topology, 0)
    given["convs"] = draw(st.sampled_from([None, least, least + 1]))
    if topology in ("fpn", "segformer", "deeplabv3plus", "fcn"):
        given["depths"] = draw(st.sampled_from([None, 2, len(maps.channels)]))
    if topology == "deeplabv3plus":
        given["rates"] = draw(st.sampled_from([None, [1, 2]]))
    if topology != "duc":
        given["final"] = draw(st.sampled_from(["bilinear", "deconv", "pixel_shuffle", "dysample", "deconv_matched"]))
    if not topology_class(topology).gives_scores:
        given["final_convs"] = draw(st.sampled_from([None, 0, 2]))
    usual = topology_class(topology).usual_widths(CostPlan(maps, {**given, "upsampler": "deconv"}))
    if usual and draw(st.booleans()):
        given["widths"] = [draw(st.integers(1, 6)) * 4 for _ in usual]
    return given


FITTING = [
    (topology, upsampler)
    for topology in list_decoders()
    for upsampler in list_upsamplers()
    if operator_class(upsampler).requires <= topology_class(topology).guides
]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize(("topology", "upsampler"), FITTING)
def test_the_cost_is_that_of_the_built_decoder(topology, upsampler, data):
    cls = topology_class(topology)
    maps = data.draw(pyramids())
    if topology == "duc" and maps.strides[-1] == 24:
        return  # no stage of an image divides by 24 in one step here
    given = options_of(topology, data.draw, maps)
    if upsampler == "carafe" and data.draw(st.booleans()):
        given["upsampler_options"] = (
            {"groups": 2, "compressed_channels": 8} if topology not in ("fcn", "linknet") else {}
        )
    assert cls.bill.__func__ is not Decoder.bill.__func__
    plan = CostPlan(maps, {**given, "upsampler": upsampler})
    if "indices" in operator_class(upsampler).requires:
        pooled_up = tuple(((n + 1) // 2, (m + 1) // 2) for n, m in maps.sizes[:-1])
        if maps.sizes[1:] != pooled_up:
            return  # it undoes poolings by 2 alone
    assert cls.cost(maps, upsampler=upsampler, **given) == counted(cls, plan)


def test_widths_of_another_number_are_refused():
    maps = Maps((8, 16), (2, 4), ((8, 8), (4, 4)), (16, 16))
    with pytest.raises(ConfigError, match=r"decoder.widths=\[8\] must have 2, as \[32, 16\]"):
        topology_class("unet").cost(maps, upsampler="deconv", widths=[8])


def test_usual_widths_are_those_of_the_built_decoder():
    maps = Maps((8, 16, 24), (2, 4, 8), ((8, 8), (4, 4), (2, 2)), (16, 16))
    for topology in list_decoders():
        cls = topology_class(topology)
        usual = cls.usual_widths(CostPlan(maps, {"upsampler": "deconv"}))
        one, other = (
            create_decoder(topology, maps.channels, maps.strides, upsampler="deconv", widths=widths)
            for widths in (None, usual or None)
        )
        shapes = [[tuple(p.shape) for p in decoder.parameters()] for decoder in (one, other)]
        assert shapes[0] == shapes[1]
    assert torch.get_default_device().type == "cpu"
