"""What an operator declares of itself: where it says convex, constants stay, bounds hold, and no pattern shows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.upsamplers import checkerboard, list_upsamplers

OPTIONS = {
    "bilinear": [{"kernel_size": None}], "nearest": [{"kernel_size": None}],
    "carafe": [{"border": "replicate"}, {"border": "shift"}], "sapa": [{"border": "replicate"}, {"border": "shift"}],
    "anyup": [{}, {"guide": "skip"}], "freqfusion": [{}], "jbu": [{}, {"guide": "skip"}],
    "naf": [{}, {"guide": "skip"}, {"fit": "strict"}], "uplift": [{}, {"guide": "skip"}],
}  # fmt: skip
"""Options beside the default with which an operator is convex."""
DECLARED = [(name, options) for name in list_upsamplers() for options in [*OPTIONS.get(name, ()), {}]]


def drawn(build, name, options, scale=2):
    """An operator whose weights are large, so that nothing is hidden by a start near a mean."""
    up = build(name, 4, 4, scale, **{"skip_channels": 3, **options})
    for parameter in up.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    return up.double().eval()


def keeps_bounds(up, guides, seed, low, size):
    torch.manual_seed(seed)
    x = torch.randn(1, 4, *low, dtype=torch.float64)
    given = guides(up, x, size)
    y = up(x, size, **given)
    least, most = (getattr(x, end)((-2, -1), keepdim=True) for end in ("amin", "amax"))
    constant = up(torch.full_like(x, 3.0), size, **given)
    return bool((y >= least - 1e-9).all() and (y <= most + 1e-9).all() and (constant - 3).abs().max() < 1e-9)


@pytest.mark.parametrize(("name", "options"), DECLARED)
def test_what_declares_itself_convex_is(name, options, build, guides):
    up = drawn(build, name, options)
    assert not options or up.convex, "the options above are those that make it so"
    if not up.convex:
        return

    @settings(max_examples=15, deadline=None)
    @given(*[st.integers(1, 6)] * 2, *[st.integers(-1, 1)] * 2, st.integers(0, 99))
    def holds(h, w, rows, columns, seed):
        assert keeps_bounds(up, guides, seed, (h, w), (2 * h + rows, 2 * w + columns))

    holds()
    assert checkerboard(up) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", list_upsamplers())
def test_what_does_not_declare_it_breaks_a_bound_or_changes_channels(name, build, guides):
    assert not build(name, 4, 6).convex
    up = drawn(build, name, {})
    if not up.convex:
        assert not all(keeps_bounds(up, guides, seed, (5, 6), (10, 12)) for seed in range(5))
