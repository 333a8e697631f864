"""Receptive field, total stride and alignment, against torch's gradients."""

from fractions import Fraction
from statistics import mean
from time import perf_counter

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from segup.shapes import (
    Chain,
    Conv,
    ConvTranspose,
    PixelShuffle,
    Pool,
    Resize,
    ShapeError,
    chain_report,
    parse,
    receptive_field,
)
from segup.shapes.receptive import _spans_by_ends, _spans_by_taps

some = settings(max_examples=60, deadline=None)
downs = st.builds(Conv, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
ups = st.one_of(
    st.builds(ConvTranspose, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), dilation=st.integers(1, 2)),
    st.builds(
        Resize,
        st.sampled_from([2, 3, Fraction(3, 2)]),
        st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]),
    ),
)


def run(layer, x):
    """Run one layer on a column with weights of one, so that nothing cancels."""
    if isinstance(layer, Resize):
        corners = {} if layer.mode.startswith("nearest") else {"align_corners": False}
        factor = (float(layer.scale_factor), 1.0)
        return functional.interpolate(x, scale_factor=factor, mode=layer.mode, **corners)
    weight = torch.ones(1, 1, layer.kernel_size, 1, dtype=x.dtype)
    kwargs = {"stride": (layer.stride, 1), "padding": (layer.padding, 0), "dilation": (layer.dilation, 1)}
    function = functional.conv2d if isinstance(layer, Conv) else functional.conv_transpose2d
    return function(x, weight, **kwargs)


def measured_span(layers, size, outputs):
    """Return the largest span of inputs that one of the middle outputs depends on."""
    x = torch.zeros(1, 1, size, 1, dtype=torch.float64, requires_grad=True)
    y = x
    for layer in layers:
        y = run(layer, y)
    middle, spans = y.shape[2] // 2, [0]
    for index in range(middle, middle + outputs):
        (gradient,) = torch.autograd.grad(y[0, 0, index, 0], x, retain_graph=True)
        touched = gradient.flatten().nonzero().flatten().tolist()
        if touched:
            spans.append(touched[-1] - touched[0] + 1)
    return max(spans)


@some
@given(st.lists(st.one_of(downs, ups), min_size=1, max_size=3))
def test_the_field_is_the_span_of_torchs_gradients(layers):
    field = receptive_field(layers)
    size = 8 * field.size + 60
    outputs = 2
    for layer in layers:
        factor = layer.scale_factor if isinstance(layer, Resize) else getattr(layer, "stride", 1)
        outputs *= Fraction(factor).numerator if not isinstance(layer, Conv) else 1
    assume(Chain(layers).out(size) > 4 * outputs)
    assert measured_span(layers, size, outputs) == field.size


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(downs, ups), min_size=1, max_size=5))
def test_fields_followed_by_their_ends_are_those_of_all_taps(layers):
    axis = Chain(layers).axes[0]
    assume(all(link.ordered for _, link in axis.links))
    assert max(_spans_by_ends([link for _, link in axis.links])) == max(_spans_by_taps(axis))


def test_deep_chains_are_quick():
    begin = perf_counter()
    assert receptive_field(parse(", ".join(["conv k7 s4 p3"] * 12))).size == 1 + 6 * (4**12 - 1) // 3
    assert receptive_field(parse(", ".join(["deconv k7 s4 p3"] * 12))).size == 2
    assert receptive_field(parse(", ".join(["resize x2, conv k3 p1"] * 12))).size == 5
    assert perf_counter() - begin < 2


@some
@given(st.lists(downs, min_size=1, max_size=4), st.integers(0, 9))
def test_the_middle_of_what_an_output_reads_moves_by_the_stride(layers, out):
    field, taps = receptive_field(layers), Chain(layers).axes[0].taps(out)
    assert Fraction(taps[0] + taps[-1], 2) == field.centre + out * field.stride
    assert taps[-1] - taps[0] + 1 == field.size


@pytest.mark.parametrize(
    "layer",
    [
        *(ConvTranspose(k, s, p) for k in range(1, 7) for s in range(1, 4) for p in range(3)),
        *(Resize(factor, mode) for factor in (2, 3, 4) for mode in ("nearest", "nearest-exact", "bilinear")),
        PixelShuffle(2),
        PixelShuffle(3),
    ],
)
def test_the_alignment_of_an_upsampler_is_its_mean_shift(layer):
    """Stamps are symmetric: over one period, inputs and outputs that touch differ by the centre on average."""
    axis = layer.axes[0]
    period = axis.law.rise
    shifts = [tap - out * axis.pitch for out in range(period) for tap in axis.taps(out)]
    assert mean(shifts) == receptive_field(layer).centre


def test_the_stem_of_a_residual_network():
    field = receptive_field(parse("conv k7 s2 p3, pool k3 s2 p1"))
    assert (field.size, field.stride, field.centre) == (11, 4, 0)


def test_which_upsamplers_are_half_a_pixel_off():
    """deconv k4 s2 p1 lies as a bilinear resize does; k3 s2 p1 has its first output on the first input."""

    def centre(text):
        return receptive_field(parse(text)).centre

    assert centre("deconv k4 s2 p1") == centre("resize x2") == centre("pixel_shuffle x2") == Fraction(-1, 4)
    assert centre("deconv k3 s2 p1") == 0
    assert centre("conv k2 s2, deconv k2 s2") == centre("conv k3 s2 p1, deconv k3 s2 p1") == 0


def test_axes_that_differ_give_a_pair():
    height, width = receptive_field([Conv((7, 3), (2, 1))])
    assert (height.size, width.size, height.stride, width.stride) == (7, 3, 2, 1)
    assert receptive_field(Pool(2)).size == 2


def test_a_float_factor_has_no_field():
    with pytest.raises(ShapeError, match=r"resize by the float 0\.29"):
        receptive_field([Resize(0.29)])


@pytest.mark.parametrize(
    "layer",
    ["deconv k10000000000000000000 s2", "deconv k99999999 s1", "deconv k3 s99999999", "resize x99999999"],
)
def test_a_field_of_too_many_pixels_to_go_through_is_refused_and_left_out_of_the_report(layer):
    start = perf_counter()
    with pytest.raises(ShapeError, match="a receptive field is followed through 65536 pixels"):
        receptive_field(parse(layer))
    report = chain_report(Chain(parse(layer)), 417)
    assert report.fields == (None,)
    assert report.notes()
    assert report.as_dict()
    assert perf_counter() - start < 5
