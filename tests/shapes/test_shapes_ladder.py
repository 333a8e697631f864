"""Ladders and reports: what is printed, and that the figures in it are those of the layers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import (
    Conv,
    ConvTranspose,
    PixelShuffle,
    Pool,
    Resize,
    ShapeError,
    inverse,
    ladder,
    prove_inversion,
)
from segup.shapes.rungs import climb

DOWN = Conv(3, 2, 1)


def test_a_ladder_reads_as_a_table():
    text = str(ladder(down=[[Conv(7, 2, 3), Pool(3, 2, 1)], Conv(2, 2)], up=[ConvTranspose(2, 2), Resize(4)], size=418))
    assert text == "\n".join(
        [
            "        layer           in  out  residue",
            "down 1  conv k7 s2 p3  418  209        1",
            "down 1  pool k3 s2 p1  209  105        0",
            "down 2  conv k2 s2     105   52        1  1 unread (104)",
            "up 2    deconv k2 s2    52  104           repeats 1 to fit 105",
            "up 1    resize x4      105  420           cuts 2 to fit 418",
        ]
    )


def test_a_ladder_of_a_pair_names_the_axis():
    steps = ladder([DOWN], [ConvTranspose(4, 2, 1)], size=(353, 472))
    assert str(steps).splitlines()[1:] == [
        "down 1  conv k3 s2 p1    353×472  177×236      0×1",
        "up 1    deconv k4 s2 p1  177×236  354×472           height: cuts 1 to fit 353",
    ]
    assert (steps.out, steps.rungs[-1].correction) == ((353, 472), (-1, 0))


def test_a_matched_ladder_corrects_nothing():
    steps = ladder([DOWN] * 5, [ConvTranspose(3, 2, 1)] * 5, size=418, matched=True)
    assert steps.corrections == ()
    assert [rung.output_padding for rung in steps.rungs[5:]] == [0, 0, 0, 0, 1]
    with pytest.raises(
        ShapeError, match=r"^up stage 2: 'deconv k2 s2' brings 25 to 50 … 51, not to 49\.\n  try: segup shapes"
    ):
        ladder([DOWN] * 2, [ConvTranspose(2, 2)] * 2, size=97, matched=True)


def test_a_correction_too_far_is_said():
    steps = ladder([DOWN] * 2, [PixelShuffle(2), PixelShuffle(4)], size=97)
    assert steps.rungs[-1].notes() == ["cuts 99 to fit 97", "too far: a correction is at most scale − 1 = 3"]


def test_rows_of_bias_alone_are_said():
    steps = ladder([Pool(2)], [ConvTranspose(2, 2)], size=33, matched=True)
    assert steps.rungs[-1].notes() == ["output_padding 1", "1 bias alone (32)"]


def test_other_numbers_of_stages_are_compared_at_the_end():
    steps = ladder([DOWN] * 3, [Resize(8)], size=97)
    assert [(rung.out, rung.target) for rung in steps.rungs] == [(49, 49), (25, 25), (13, 13), (104, 97)]
    assert ladder([DOWN] * 3, size=97).out == 13


def test_a_stage_without_a_layer_is_shown_with_its_correction():
    steps = ladder([Pool(2), Conv(3)], [[], ConvTranspose(2, 2)], size=20)
    assert [(rung.layer, rung.out, rung.target) for rung in steps.rungs[2:]] == [
        ("nothing", 8, 10),
        ("deconv k2 s2", 20, 20),
    ]


def test_the_stage_at_fault_is_named():
    with pytest.raises(ShapeError, match=r"^down stage 2: 'conv k3' does not accept size 2: "):
        ladder([Conv(3)] * 2, size=4)
    with pytest.raises(ShapeError, match=r"^up stage 1: 'conv k9' does not accept size 7: "):
        ladder([Conv(3)], [Conv(9)], size=9)
    with pytest.raises(ShapeError, match="treats height and width differently"):
        ladder([Conv((3, 1))], size=9)
    with pytest.raises(ShapeError, match=r"^height must be an int of at least 1, not 0\.$"):
        ladder([DOWN], size=(0, 9))


stage = st.one_of(
    st.builds(Conv, st.integers(1, 7), st.integers(1, 3), st.integers(0, 3)),
    st.builds(Pool, st.integers(2, 3), st.integers(1, 3), st.integers(0, 1), st.just(1), st.booleans()),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(stage, min_size=1, max_size=4), st.integers(1, 300), st.booleans())
def test_a_ladder_without_corrections_is_what_a_proof_says_holds(down, more, matched):
    up = [inverse(layer) for layer in reversed(down)]
    proof = prove_inversion(down, up, matched=matched)
    size = proof.min_size + more
    try:
        steps = ladder(down, up, size=size, matched=matched)
    except ShapeError:
        assert not proof.holds(size)  # the inverse of a ceil_mode pooling may refuse a size that nothing comes from
        return
    assert (steps.corrections == ()) == proof.holds(size)
    assert steps.out == size


def test_other_sizes_to_end_with_can_be_asked_for():
    assert ladder([], [ConvTranspose(3, 2, 1)] * 2, size=105).out == 417
    steps = ladder([], [ConvTranspose(3, 2, 1)] * 2, size=105, out=420)
    assert [(rung.out, rung.output_padding) for rung in steps.rungs] == [(209, 0), (417, 0)]
    assert (steps.out, steps.rungs[-1].correction) == (420, 3)
    one = ladder(up=[[ConvTranspose(3, 2, 1)] * 2], size=105, matched=True, out=420)
    assert [(rung.out, rung.output_padding) for rung in one.rungs] == [(210, 1), (420, 1)]
    assert ladder([DOWN], [ConvTranspose(4, 2, 1)], size=33, out=(34, 33)).out == (34, 33)
    with pytest.raises(
        ShapeError, match=r"^out=9 is a size for the way up to reach, and there is no way up\.\n  try: s"
    ):
        ladder([DOWN], size=17, out=9)
    with pytest.raises(ShapeError, match=r"^size must be an int of at least 1, not 0\.$"):
        ladder([DOWN], size=0)


up_layer = st.one_of(
    st.builds(ConvTranspose, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2)),
    st.builds(ConvTranspose, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2)),
    st.builds(Conv, st.integers(1, 4), st.integers(1, 2), st.integers(0, 2)),
    st.just(Resize(2)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(up_layer, min_size=1, max_size=3), st.integers(1, 6))
def test_a_matched_stage_reaches_exactly_what_a_walk_over_every_choice_reaches(stage, size):
    paths = [[size]]
    for layer in stage:
        paths = [[*path, out] for path in paths for out in choices(layer, path[-1])]
    for target in range(1, 40):
        try:
            steps = climb([], [stage], size, True, target)  # what ladder does, without a search for a way out
        except ShapeError:
            assert target not in {path[-1] for path in paths}
        else:
            assert [size, *(rung.out for rung in steps.rungs)] in paths
            assert steps.rungs[-1].out == target


def choices(layer, size):
    if isinstance(layer, ConvTranspose):
        return layer.reachable(size)
    return [layer.out(size)] if size >= layer.min_size else []


def test_windows_on_the_way_up_have_a_residue_too():
    steps = ladder([DOWN], [[ConvTranspose(4, 2, 1), Conv(2, 2), Resize(2)]], size=34)
    assert [rung.residue for rung in steps.rungs[1:]] == [None, 0, None]
    assert list(ladder(up=[ConvTranspose(2, 2), Conv(2, 3)], size=3).rungs[1].unread) == [2, 5]
