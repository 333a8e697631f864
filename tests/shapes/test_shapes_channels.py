"""Channel arithmetic against torch's modules and its FLOP counter."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segup.shapes import (
    Chain,
    Conv,
    ConvTranspose,
    Cost,
    PixelShuffle,
    Pool,
    Resize,
    ShapeError,
    cost,
    costs,
    out_shape,
    parse,
)

small = settings(max_examples=60, deadline=None)


def measured(module: nn.Module, channels: int, height: int, width: int) -> tuple[Cost, tuple[int, ...]]:
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), counter:
        out = module.to("meta")(torch.empty(1, channels, height, width))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(parameters, counter.get_total_flops() // 2), tuple(out.shape[1:])


@small
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(1, 3),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
    st.tuples(st.integers(9, 14), st.integers(9, 14)),
)
def test_convolutions_cost_what_torch_counts(kernel, stride, padding, dilation, groups, multiples, bias, size):
    in_channels, out_channels = groups * multiples[0], groups * multiples[1]
    module = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias)
    layer = Conv(kernel, stride, padding, dilation, groups=groups)
    expected, shape = measured(module, in_channels, *size)
    assert cost(layer, size, in_channels, out_channels, bias=bias) == expected
    assert out_shape(layer, (in_channels, *size), out_channels) == shape


@small
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(1, 3),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
)
def test_transposed_convolutions_cost_what_torch_counts(kernel, stride, padding, groups, multiples, bias, size):
    assume(min(kernel) > 2 * padding)
    in_channels, out_channels = groups * multiples[0], groups * multiples[1]
    module = nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, padding, 0, groups, bias)
    layer = ConvTranspose(kernel, stride, padding, groups=groups)
    expected, shape = measured(module, in_channels, *size)
    assert cost(layer, size, in_channels, out_channels, bias=bias) == expected
    assert out_shape(layer, (in_channels, *size), out_channels) == shape


def test_a_transposed_convolution_counts_low_resolution_positions():
    assert cost(ConvTranspose(4, 2, 1), 16, 8, 4).macs == 131072


def test_the_operators_table():
    """C = 256: a transposed convolution k4, resize + conv k3 and conv k3 + pixel shuffle, at scale 2 from 64 × 64."""
    low = 64 * 64
    assert sum(costs(parse("deconv k4 s2 p1"), 64, [256, 256]), Cost(0, 0)) == Cost(
        16 * 256**2 + 256, 16 * 256**2 * low
    )
    resized = sum(costs(parse("resize x2, conv k3 p1"), 64, [256, 256]), Cost(0, 0))
    assert resized == Cost(9 * 256**2 + 256, 4 * 9 * 256**2 * low)
    shuffled = sum(costs(parse("conv k3 p1, pixel_shuffle x2"), 64, [256, 1024]), Cost(0, 0))
    assert shuffled == Cost(4 * (9 * 256**2 + 256), 4 * 9 * 256**2 * low)


@pytest.mark.parametrize("layer", [Pool(2), Resize(2), Resize(0.5)])
def test_layers_without_weights_cost_nothing_and_keep_the_channels(layer):
    assert cost(layer, 16, 8) == Cost(0, 0)
    assert out_shape(layer, (8, 16, 16))[0] == 8
    with pytest.raises(ShapeError, match=r"makes 8 channels of 8, not 4"):
        out_shape(layer, (8, 16, 16), 4)


def test_a_pixel_shuffle_needs_channels_that_its_square_divides():
    assert out_shape(PixelShuffle(2), (64, 5, 7)) == (16, 10, 14)
    with pytest.raises(ShapeError, match=r"2² = 4, which does not divide in_channels=6\.\n  try: in_channels=8"):
        out_shape(PixelShuffle(2), (6, 5, 7))


def test_groups_divide_channels_and_channels_are_needed():
    with pytest.raises(ShapeError, match=r"groups=2 of 'conv k3 g2' must divide out_channels=5\.\n  try: out_"):
        cost(Conv(3, groups=2), 9, 4, 5)
    with pytest.raises(ShapeError, match="can have any number of channels: out_channels is needed"):
        cost(Conv(3), 9, 4)
    with pytest.raises(ShapeError, match="in_channels must be an int of at least 1, not 0"):
        cost(Conv(3), 9, 0, 4)
    with pytest.raises(ShapeError, match="each of the 1 convolutions, 2 numbers, not \\[3\\]"):
        costs([Conv(3), Pool(2)], 9, [3])
    with pytest.raises(ShapeError, match="2 numbers, not 3"):
        costs([Conv(3)], 9, 3)
    with pytest.raises(ShapeError, match=r"^size must be an int of at least 1, not 9\.0"):
        cost(Conv(3), 9.0, 3, 3)


def test_a_chain_with_convolutions_is_counted_layer_by_layer():
    with pytest.raises(
        ShapeError, match=r"^each convolution of 'conv k3, pool k2 s2' has channels of its own\.\n  try: c"
    ):
        cost(Chain([Conv(3), Pool(2)]), 9, 3)
    assert out_shape(Chain([Pool(2), PixelShuffle(2), PixelShuffle(2)]), (32, 9, 11)) == (2, 16, 20)


def test_sizes_may_be_lists_and_differ():
    assert cost(Conv(3), [9, 8], 3, 4) == cost(Conv(3), (9, 8), 3, 4) == Cost(112, 108 * 42)
    assert costs([Conv(3), ConvTranspose((1, 2))], [9, 8], [3, 4, 1])[1] == Cost(9, 8 * 42)
