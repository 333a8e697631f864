"""The examples that people meet first, and the sentences of the documentation."""

import pytest

from segup.shapes import Conv, ConvTranspose, Pool, ShapeError, out_shape, prove_inversion


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "out"),
    [
        (416, 7, 1, 410),
        (417, 7, 1, 411),
        (416, 7, 2, 205),
        (417, 7, 2, 206),
        (448, 9, 1, 440),
        (448, 9, 2, 220),
        (445, 9, 1, 437),
        (445, 9, 2, 219),
        (608, 11, 1, 598),
        (608, 11, 2, 299),
        (13, 9, 1, 5),
        (13, 9, 2, 3),
    ],
)
def test_sizes_that_lessons_use(size, kernel, stride, out):
    assert Conv(kernel, stride).out(size) == out


@pytest.mark.parametrize("size", [13, 100, 416, 417, 10**12])
@pytest.mark.parametrize("layer", [(3, 1), (7, 3), (9, 0), (4, 2)])
def test_the_shortcut_a_stride_divides_and_rounds_up(size, layer):
    kernel, padding = layer
    for stride in range(1, 12):
        assert Conv(kernel, stride, padding).out(size) == -(-Conv(kernel, 1, padding).out(size) // stride)


def test_shapes_with_channels():
    assert out_shape(Conv(5), (3, 28, 28), out_channels=6) == (6, 24, 24)
    assert out_shape(Conv(3), (3, 6, 6), out_channels=2) == (2, 4, 4)


def test_the_public_example():
    down = Conv(kernel_size=3, stride=2, padding=1)
    assert (down.out(417), down.out((360, 480)), down.residue(417), down.min_size) == (209, (180, 240), 0, 1)
    up = ConvTranspose(kernel_size=3, stride=2, padding=1)
    assert (up.out(209), up.reachable(209), up.output_padding_for(209, 418)) == (417, range(417, 419), 1)
    proof = prove_inversion([down, down], [up, up])
    assert (proof.always, proof.period, proof.holds(417), proof.counterexample) == (False, 4, True, 2)
    assert prove_inversion([down, down], [up, up], matched=True).always


def test_seven_that_ends_right_and_is_useless():
    """7 → 4 → 2 → 6 → 7: the ends agree, and the skip of 4 meets a map of 6."""
    down = [Conv(3, 2, 1), Conv(3, 2, 1)]
    up = [ConvTranspose(4, 2, 0), ConvTranspose(2)]
    assert (up[0].out(2), up[1].out(6)) == (6, 7)
    assert prove_inversion(down, up, ends_only=True).holds(7)
    assert not prove_inversion(down, up).holds(7)


def test_one_way_down_and_two_up_holds_at_one_alone():
    up = ConvTranspose(3, 2, 1)
    proof = prove_inversion([Conv(3, 2, 1)], [up, up], ends_only=True)
    assert (list(proof.exceptions), proof.period, proof.never, proof.counterexample) == ([1], None, False, 2)


@pytest.mark.parametrize(
    ("up", "residues"),
    [(ConvTranspose(3, 2, 1), [1]), (ConvTranspose(4, 2, 1), [0]), (ConvTranspose(2, 2), [0])],
)
def test_which_sizes_a_fixed_upsampler_gives_back_over_five_stages(up, residues):
    proof = prove_inversion([Conv(3, 2, 1)] * 5, [up] * 5)
    assert (list(proof.residues), proof.period, proof.start) == (residues, 32, 1)


def test_no_kernel_and_padding_serve_stages_of_both_roundings():
    """k3 p1 reaches {2h − 1, 2h}, which stages that round up come from; k4 p1 and k2 p0 serve those that round down."""
    rounds_up, rounds_down = Conv(3, 2, 1), Pool(2)
    assert prove_inversion([rounds_up], [ConvTranspose(3, 2, 1)], matched=True).always
    assert not prove_inversion([rounds_down], [ConvTranspose(3, 2, 1)], matched=True).always
    for up in (ConvTranspose(4, 2, 1), ConvTranspose(2, 2)):
        assert prove_inversion([rounds_down], [up], matched=True).always
        assert not prove_inversion([rounds_up], [up], matched=True).always


def test_the_last_row_of_two_by_two_is_bias_alone_at_an_odd_size():
    assert list(ConvTranspose(2, 2).unwritten(16, 33)) == [32]
    assert list(ConvTranspose(4, 2, 1).unwritten(16, 33)) == []


def test_ceil_mode_with_a_kernel_larger_than_the_input():
    assert Pool(3, stride=2, ceil_mode=True).out(2) == 1
    with pytest.raises(ShapeError, match="does not accept size 1"):
        Pool(3, stride=2, ceil_mode=True).out(1)
