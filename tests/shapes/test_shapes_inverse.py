"""inverse, reachable and output_padding_for."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, inverse, prove_inversion


def every_layer():
    for kernel, stride, dilation in itertools.product(range(1, 8), range(1, 5), range(1, 4)):
        for padding in range(kernel + 2):
            yield Conv(kernel, stride, padding, dilation)
        for padding, ceil_mode in itertools.product(range(kernel // 2 + 1), (False, True)):
            yield Pool(kernel, stride, padding, dilation, ceil_mode)


def test_the_inverse_reaches_what_each_layer_was_given_at_every_size_up_to_60():
    for down in every_layer():
        up = inverse(down)
        for size in range(down.min_size, 61):
            out = down.out(size)
            assert size in up.reachable(out), (down, size)
            padding = up.output_padding_for(out, size)
            if not (isinstance(down, Pool) and down.ceil_mode):
                assert padding == down.residue(size), (down, size)


def test_the_inverse_is_proved_for_all_sizes():
    assert all(prove_inversion([down], [inverse(down)], matched=True).always for down in every_layer())


def test_the_inverse_of_a_convolution_keeps_its_parameters():
    assert inverse(Conv((7, 3), (2, 1), (3, 1), (1, 2), groups=4)) == ConvTranspose(
        (7, 3), (2, 1), (3, 1), dilation=(1, 2), groups=4
    )


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 6), st.integers(1, 4), st.integers(1, 10**12), st.data())
def test_reachable_and_output_padding_for_agree(kernel, stride, padding, dilation, size, data):
    up = ConvTranspose(kernel, stride, padding, dilation=dilation)
    reachable = up.reachable(size)
    smallest = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
    assert reachable == range(max(1, smallest), smallest + stride)
    out = data.draw(st.integers(max(1, smallest - 3), max(1, smallest) + stride + 3))
    assert up.reaches(size, out) == (out in reachable)
    if out in reachable:
        output_padding = up.output_padding_for(size, out)
        assert ConvTranspose(kernel, stride, padding, output_padding, dilation).out(size) == out
    else:
        with pytest.raises(ShapeError, match=rf"brings size {size} to .*, not to {out}\.\n"):
            up.output_padding_for(size, out)


def test_twelve_to_six_and_back_needs_an_output_size():
    down, up = Conv(3, stride=2, padding=1), ConvTranspose(3, stride=2, padding=1)
    assert (down.out(12), up.out(6), up.reachable(6), up.output_padding_for(6, 12)) == (6, 11, range(11, 13), 1)


def test_from_17_which_kernel_reaches_33():
    assert ConvTranspose(4, 2, 1).reachable(17) == range(34, 36)
    assert ConvTranspose(3, 2, 1).reachable(17) == range(33, 35)


def test_an_even_kernel_with_same_padding_has_no_inverse():
    with pytest.raises(ShapeError) as caught:
        inverse(Conv(4, padding="same"))
    assert str(caught.value) == (
        "'conv k4 psame' has no inverse among torch's layers: padding=\"same\" with kernel_size 4 pads 1 before and 2 "
        "after, and a transposed convolution cuts both ends alike.\n  try: an odd kernel_size, or an even dilation."
    )
    assert inverse(Conv(4, padding="same", dilation=2)) == ConvTranspose(4, padding=3, dilation=2)
    assert inverse(Conv(5, padding="same")) == ConvTranspose(5, padding=2)


@pytest.mark.parametrize("layer", [ConvTranspose(2, 2), Resize(2), PixelShuffle(2), 3])
def test_only_what_goes_down_has_an_inverse(layer):
    with pytest.raises(ShapeError, match="inverse takes a Conv or a Pool, not "):
        inverse(layer)


def test_several_layers_are_inverted_one_by_one():
    stem = [Conv(7, 2, 3), Pool(3, 2, 1)]
    for layers in (stem, tuple(stem), Chain(stem)):
        with pytest.raises(
            ShapeError, match=r"not 2 layers\.\n  try: \[inverse\(one\) for one in reversed\(layers\)\]"
        ):
            inverse(layers)
    assert prove_inversion(stem, [inverse(one) for one in reversed(stem)], matched=True).always


def test_the_message_for_a_size_out_of_reach():
    with pytest.raises(ShapeError) as caught:
        ConvTranspose(4, stride=2, padding=1).output_padding_for((17, 16), (33, 32))
    assert str(caught.value) == (
        "'deconv k4 s2 p1' brings height 17 to 34 … 35, not to 33.\n"
        "  (17 − 1)·2 − 2·1 + 4 = 34, and output_padding adds at most stride − 1 = 1.\n"
        "  try: kernel_size=3, which reaches 33 … 34."
    )
    with pytest.raises(ShapeError, match="try: an input of 49, which reaches 98 … 99"):
        ConvTranspose(4, stride=2, padding=1).output_padding_for(16, 99)


def test_pairs_are_answered_axis_by_axis():
    up = ConvTranspose((3, 2), 2, (1, 0))
    assert up.reachable((17, 16)) == (range(33, 35), range(32, 34))
    assert up.output_padding_for((17, 16), (34, 32)) == (1, 0)
    assert up.reaches((17, 16), (34, 34)) == (True, False)
    with pytest.raises(ShapeError, match="treats height and width differently"):
        up.output_padding_for(17, 33)
