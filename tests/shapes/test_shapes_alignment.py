"""Where the outputs lie over the input: what torch reads of a ramp, divided by what it reads of ones."""

from fractions import Fraction
from math import floor, gcd

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Resize, parse, receptive_field
from segup.shapes.law import period_through

FACTORS = [Fraction(a, b) for a in range(1, 25) for b in range(1, 25) if gcd(a, b) == 1]
MODES = ["nearest", "nearest-exact", "bilinear", "bicubic"]


def torchs(layer, x):
    """Run a layer in torch, every learned weight 1."""
    if isinstance(layer, Resize):
        corners = {} if layer.mode.startswith("nearest") else {"align_corners": False}
        return F.interpolate(x, scale_factor=(float(layer.scale_factor), 1.0), mode=layer.mode, **corners)
    if isinstance(layer, PixelShuffle):
        r = layer.upscale_factor
        return F.pixel_shuffle(x.repeat_interleave(r * r, dim=1), r)[..., ::r]
    weight = torch.ones(1, 1, layer.kernel_size, 1, dtype=x.dtype)
    named = {"stride": (layer.stride, 1), "padding": (layer.padding, 0), "dilation": (layer.dilation, 1)}
    return (F.conv2d if isinstance(layer, Conv) else F.conv_transpose2d)(x, weight, **named)


def measured(layers):
    """The mean of what the outputs of one period in the middle read, less output·stride."""
    run, rise = period_through(Chain(layers).axes[0].laws)
    stride = Fraction(run, rise)
    size = 40 * run + 400
    ramp = torch.arange(size, dtype=torch.float64).reshape(1, 1, size, 1)
    ones = torch.ones_like(ramp)
    for layer in layers:
        ramp, ones = torchs(layer, ramp), torchs(layer, ones)
    begin = ramp.shape[2] // 2 // rise * rise
    ramp, ones = (y.flatten()[begin : begin + rise] for y in (ramp, ones))
    at = torch.arange(begin, begin + rise, dtype=torch.float64) * float(stride)
    return float((ramp - at * ones).sum() / ones.sum()) if ones.sum() else None


@pytest.mark.parametrize("mode", MODES[:2])
def test_a_nearest_resize_lies_where_torch_reads(mode):
    """One-hot images tell what each output of the first period copies."""
    apart = []
    for factor in FACTORS:
        a, b = factor.numerator, factor.denominator
        image = torch.eye(2 * b + 2, dtype=torch.float64)[None, :, :, None]
        read = F.interpolate(image, scale_factor=(float(factor), 1.0), mode=mode)[0, :, :a, 0].argmax(dim=0)
        mean = Fraction(sum(read.tolist()), a) - Fraction(b, a) * Fraction(a - 1, 2)
        if mean != receptive_field(Resize(factor, mode)).centre:
            exact = Resize(factor, mode).axes[0]
            apart.append((factor, [(o, n, exact.taps(o)[0]) for o, n in enumerate(read) if n != exact.taps(o)[0]]))
    # torch multiplies in float32: in few of these, one output with its centre on an edge copies the pixel before it.
    assert len(apart) <= (0 if mode == "nearest" else 4)
    assert all(len(moved) == 1 and moved[0][1] == moved[0][2] - 1 for _, moved in apart)


@pytest.mark.parametrize("mode", MODES[2:])
def test_a_smooth_resize_lies_where_torch_reads(mode):
    for factor in FACTORS[::5]:
        resize = Resize(factor, mode)
        assert abs(measured([resize]) - float(receptive_field(resize).centre)) < 1e-6


layers = st.one_of(
    st.builds(Conv, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    st.builds(ConvTranspose, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), dilation=st.integers(1, 2)),
    st.builds(
        Resize,
        st.sampled_from([2, 3, 4, Fraction(1, 2), Fraction(1, 4), Fraction(3, 2), Fraction(3, 4), Fraction(1, 3)]),
        st.sampled_from(MODES),
    ),
    st.builds(PixelShuffle, st.integers(1, 3)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(layers, min_size=1, max_size=3))
def test_a_chain_lies_where_torchs_ramp_says(chain):
    found = measured(chain)
    assume(found is not None)
    assert abs(found - float(receptive_field(chain).centre)) < 1e-5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv k1 s2", "resize x1/2 nearest"),
        ("conv k1 s16", "resize x1/16 nearest"),
        ("conv k1 s5", "resize x1/5 nearest"),
        ("conv k1 s3", "resize x1/3 nearest"),
        ("conv k2 s2", "resize x1/2 bilinear"),
        ("deconv k2 s2", "resize x2 nearest"),
        ("deconv k3 s3", "resize x3 nearest-exact"),
        ("pixel_shuffle x4", "resize x4 nearest"),
        ("conv k3 p1, conv k1 s4", "conv k3 p1, resize x1/4 nearest"),
        ("resize x2 nearest, conv k1 s2", "conv k1"),
        ("deconv k2 s2, resize x1/2 nearest", "conv k1"),
        ("resize x3/2 nearest, conv k1 s3", "conv k1 s2"),
        ("pool k2, resize x1/4 nearest, conv k3 p1", "pool k2, conv k1 s4, conv k3 p1"),
    ],
)
def test_one_function_has_one_alignment(one, other):
    assert receptive_field(parse(one)).centre == receptive_field(parse(other)).centre
    assert receptive_field(parse(one)).stride == receptive_field(parse(other)).stride


def test_whole_factors_down_shift_by_half_a_pixel_and_more():
    for factor in range(1, 65):
        nearest, exact = (receptive_field(Resize(Fraction(1, factor), mode)).centre for mode in MODES[:2])
        assert nearest == 0
        assert exact == factor // 2
        read = F.interpolate(torch.arange(4.0 * factor)[None, None], scale_factor=1 / factor, mode="nearest-exact")
        assert floor(read.flatten()[0]) == exact
