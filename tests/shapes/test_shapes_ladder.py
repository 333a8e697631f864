"""Ladders and reports: what is printed, and that the figures in it are those of the layers."""

import json

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
    chain_report,
    inverse,
    ladder,
    parse,
    prove_inversion,
)

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
        ShapeError, match=r"^up stage 2: 'deconv k2 s2' brings 25 to 50 … 51, not to 49\.\n  try: the inv"
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


def test_a_report_has_the_rows_and_the_verdicts():
    report = chain_report(parse("conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2, deconv k2 s2"), 417)
    assert [(row.layer, row.size, row.out, row.residue, row.stride, row.field) for row in report.rows] == [
        ("conv k7 s2 p3", 417, 209, 0, 2, 7),
        ("pool k3 s2 p1", 209, 105, 0, 4, 11),
        ("deconv k2 s2", 105, 210, None, 2, 11),
        ("deconv k2 s2", 210, 420, None, 1, 11),
    ]
    assert report.out == 420
    assert [list(proof.residues) for _, proof in report.proofs] == [[0], [0]]
    lines = str(report).splitlines()
    assert lines[0] == "layer           in  out  residue  stride  field  unread"
    assert "Accepts every size from 1 on." in lines
    assert "  The way up ends at the input's size exactly for n mod 4 in {0}, from 1 on." in lines


def test_a_report_of_one_layer():
    report = chain_report(parse("conv k3 s2 p1"), 416)
    assert [proof.always for _, proof in report.proofs] == [False, True]
    assert (report.rows[0].out, report.rows[0].residue, len(report.rows[0].unread)) == (208, 1, 0)


def test_a_report_is_plain_data_for_programs():
    plain = chain_report(parse("conv k1 s10x1, resize x3/2"), (10**12, 33)).as_dict()
    assert json.loads(json.dumps(plain))["rows"][0]["unread"][0]["count"] == 9 * 10**11
    assert plain["proofs"][0]["counterexample"] == (2, 1)
    one = chain_report(parse("conv k3 s2 p1"), 416).as_dict()
    assert one["proofs"][0]["residues"] == [[1, 1]]
    assert one["rows"] == [
        {
            "layer": "conv k3 s2 p1",
            "in": 416,
            "out": 208,
            "residue": 1,
            "unread": {"count": 0, "first": []},
            "stride": 2.0,
            "receptive_field": 3,
        }
    ]


def test_a_report_says_what_it_cannot_prove():
    report = chain_report(parse("conv k3 s2 p1, resize x0.29"), 417)
    assert report.proofs == ()
    assert report.remarks[0].startswith(
        "No verdict for all sizes: nothing can be proved about a resize by the float 0.29"
    )
    assert "try: Fraction(29, 100)" in str(report)
    uneven = chain_report([Conv(2, padding="same")], 5)
    assert "has no inverse among torch's layers" in uneven.remarks[0]
    with pytest.raises(ShapeError, match="there are no layers to report on"):
        chain_report([], 5)
