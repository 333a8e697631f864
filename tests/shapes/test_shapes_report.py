"""Reports on chains: where they turn, their formula, and that what they say agrees with the layers."""

import json
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, chain_report, parse
from segup.shapes.law import FloorLaw
from segup.shapes.layer import EXTENT, Layer
from segup.shapes.text.down_up import down_up
from segup.shapes.text.formula import formula, merged


def stages_of(words):
    split = down_up(parse(words))
    return tuple([", ".join(map(str, stage)) for stage in way] for way in (split.down, split.up))


@pytest.mark.parametrize(
    ("words", "down", "up"),
    [
        ("conv k3", ["conv k3"], []),
        ("conv k3 s2, conv k3, pool k2", ["conv k3 s2", "conv k3", "pool k2 s2"], []),
        ("deconv k2 s2, resize x2", [], ["deconv k2 s2", "resize x2"]),
        ("conv k3, conv k5, deconv k5, deconv k3", ["conv k3", "conv k5"], ["deconv k5", "deconv k3"]),
        (
            "conv k3 p1, pool k2, conv k3 p1, pool k2, conv k3 p1, resize x2 nearest, conv k3 p1, pixel_shuffle x2",
            ["conv k3 p1, pool k2 s2, conv k3 p1", "pool k2 s2, conv k3 p1"],
            ["resize x2 nearest, conv k3 p1", "pixel_shuffle x2"],
        ),
        ("conv k3 s2, pool k2, resize x4", ["conv k3 s2, pool k2 s2"], ["resize x4"]),
        ("resize x1/2, resize x2", ["resize x1/2"], ["resize x2"]),
        ("pool k2, deconv k2 s2, pool k2, deconv k2 s2", ["pool k2 s2"], ["deconv k2 s2, pool k2 s2, deconv k2 s2"]),
        ("conv k3x1 s2x1, deconv k4 s1x2", ["conv k3x1 s2x1"], ["deconv k4 s1x2"]),
    ],
)
def test_stages_are_found(words, down, up):
    assert stages_of(words) == (down, up)


LAYERS = st.one_of(
    st.builds(Conv, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3)),
    st.builds(Pool, st.just(3), st.integers(1, 3), st.integers(0, 1), st.just(1), st.booleans()),
    st.builds(ConvTranspose, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2)),
    st.builds(Resize, st.fractions(min_value=1, max_value=3, max_denominator=3)),
    st.builds(PixelShuffle, st.integers(1, 3)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=5), st.integers(-50, 10**13))
def test_a_merged_rule_and_its_formula_are_the_layers_one_after_the_other(layers, n):
    laws = [layer.axes[0].law for layer in layers]
    expected = reduce(lambda size, law: law.out(size), laws, n)
    assert reduce(lambda size, law: law.out(size), merged(laws), n) == expected
    assert read(formula(laws), n) == expected


def read(text, n):
    """Evaluate a formula: ⌊a/b⌋ is Python's a // b once the brackets are parentheses."""
    python = text.replace("⌊", "(").replace("⌋", ")").replace("−", "-").replace("·", "*").replace("/", "//")
    return eval(python, {"n": n})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("conv k3 s2 p1", "⌊(n + 1)/2⌋"),
        ("conv k5", "n − 4"),
        ("pool k2, pool k2, pool k2", "⌊n/8⌋"),
        ("pool k2, deconv k2 s2", "2·⌊n/2⌋"),
        ("conv k3 s2 p1, deconv k3 s2 p1", "2·⌊(n + 1)/2⌋ − 1"),
        ("resize x3/2, resize x2/3", "⌊2·⌊3·n/2⌋/3⌋"),
        ("deconv k2 s2, conv k4 s4", "⌊2·n/4⌋"),
    ],
)
def test_formulas_read_well(words, said):
    assert chain_report(parse(words)).formula == said


def test_formulas_of_axes_that_differ_are_two():
    report = chain_report(parse("conv k3x1 s2x1 p1x0"))
    assert (report.formula, report.period) == (("⌊(n + 1)/2⌋", "n"), ((2, 1), (1, 1)))
    assert "Width: out(n) = n, so out(n + 1) = out(n) + 1." in report.notes()
    assert not any(note.startswith("Receptive") for note in report.notes())


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=4), st.integers(0, 200))
def test_the_figures_of_a_report_are_those_of_the_chain(layers, more):
    chain = Chain(layers)
    size = chain.min_size + more
    report = chain_report(layers, size)
    run, rise = report.period
    assert (report.out, chain.out(size + run)) == (chain.out(size), chain.out(size) + rise)
    assert len(report.ladder.rungs) == len(layers)
    if not report.ladder.corrections:
        assert report.ladder.out == report.out
    for about, proof in report.proofs:
        if about == "as written" and proof.holds(size):
            assert report.out == size
            assert not report.ladder.corrections
    json.dumps(report.as_dict())


def test_a_report_has_the_rungs_and_the_verdicts():
    report = chain_report(parse("conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2, deconv k2 s2"), 417)
    assert [(rung.way, rung.stage, rung.size, rung.out, rung.target) for rung in report.ladder.rungs] == [
        ("down", 1, 417, 209, 209),
        ("down", 2, 209, 105, 105),
        ("up", 2, 105, 210, 209),
        ("up", 1, 209, 418, 417),
    ]
    assert [(field.size, field.stride) for field in report.fields] == [(7, 2), (11, 4), (11, 2), (11, 1)]
    assert (report.out, report.ladder.out) == (420, 417)
    assert [(about, list(proof.residues), proof.always) for about, proof in report.proofs] == [
        ("as written", [0], False),
        ("each given the size to reach", [0], False),
        ("the inverse layers, each given the size to reach: deconv k3 s2 p1, deconv k7 s2 p3", [0, 1, 2, 3], True),
    ]
    assert report.nearest(report.proofs[0][1]) == (416, 420)
    assert report.nearest(report.proofs[2][1]) is None
    assert report.notes() == [
        "As written, with nothing cut or repeated, 417 becomes 420.",
        "Accepts every size from 1 on.",
        f"A conv brings n to ⌊(n + 2·padding − e)/stride⌋ + 1 with {EXTENT}.",
        f"A pool brings n to ⌊(n + 2·padding − e)/stride⌋ + 1 with {EXTENT}.",
        f"A deconv brings n to (n − 1)·stride − 2·padding + e + output_padding with {EXTENT}.",
        "out(n) = 4·⌊(n + 3)/4⌋, so out(n + 4) = out(n) + 4.",
        "Receptive field 11, total stride 1; the first output has its centre at input pixel −3/2, 3/2 pixels before "
        "the grid of align_corners=False.",
    ]
    lines = str(report).splitlines()
    assert lines[4] == "up 1    deconv k2 s2   209  418           cuts 1 to fit 417"
    assert "  Every stage gets back its size exactly for n mod 4 in {0}, from 1 on." in lines


def test_ends_that_agree_where_the_stages_do_not_are_told_apart():
    report = chain_report(parse("conv k3 s2 p1, pool k2, deconv k4 s2, deconv k3 s2 p3"), 7)
    about, ends = report.proofs[1]
    assert about == "as written, the ends alone"
    assert ends.residues != report.proofs[0][1].residues


def test_matched_chains_correct_nothing_and_may_accept_more():
    layers = parse("conv k3 s2 p1, conv k3 s2 p1, deconv k3 s2 p1, deconv k3 s2 p1")
    report = chain_report(layers, 416, matched=True)
    assert [rung.output_padding for rung in report.ladder.rungs[2:]] == [1, 1]
    assert [proof.always for _, proof in report.proofs] == [False, True]
    small = parse("conv k3 s2 p1, deconv k2 s2 p1")
    with pytest.raises(ShapeError, match=r"'conv k3 s2 p1, deconv k2 s2 p1' does not accept size 2"):
        chain_report(small, 2)
    matched = chain_report(small, 1, matched=True)
    assert (matched.out, matched.ladder.out, matched.as_dict()["out"]) == (None, 1, None)


def test_one_layer_down_is_asked_about_its_inverse():
    report = chain_report(parse("conv k3 s2 p1"), 416)
    assert [(about, proof.always) for about, proof in report.proofs] == [
        ("the inverse layers", False),
        ("the inverse layers, each given the size to reach: deconv k3 s2 p1", True),
    ]
    assert [proof.always for _, proof in chain_report(parse("conv k3")).proofs] == [True]


def test_a_way_up_alone_has_nothing_to_fit():
    report = chain_report(parse("deconv k3 s2 p1"), 209)
    assert (report.out, report.ladder.out, report.proofs, report.remarks) == (417, 417, (), ())
    assert "Given the size to reach, as output_size, 209 comes to 417 … 418." in report.notes()
    assert chain_report(parse("deconv k3 s2 p1"), 209, matched=True, out=418).ladder.out == 418


def test_a_report_without_a_size_says_what_holds_for_all():
    report = chain_report(parse("conv k7 s2 p3"))
    assert (report.size, report.out, report.ladder) == (None, None, None)
    assert report.as_dict()["rungs"] == []
    rule = "A conv brings n to ⌊(n + 2·padding − e)/stride⌋ + 1 with e = dilation·(kernel_size − 1) + 1."
    assert str(report).startswith(f"Accepts every size from 1 on.\n{rule}\nout(n) = ⌊(n + 1)/2⌋")


def test_a_report_is_plain_data_for_programs():
    plain = chain_report(parse("conv k1 s10x1, resize x3/2"), (10**12, 33)).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["rungs"][0]["unread"][0]["count"] == 9 * 10**11
    assert plain["proofs"][0]["counterexample"] == [2, 1]
    one = chain_report(parse("conv k3 s2 p1"), 416).as_dict()
    assert one["proofs"][0]["residues"] == [[1, 1]]
    assert one["proofs"][0]["nearest"] == [415, 417]
    assert one["rungs"] == [
        {
            "way": "down",
            "stage": 1,
            "layer": "conv k3 s2 p1",
            "in": 416,
            "out": 208,
            "target": 208,
            "correction": 0,
            "residue": 1,
            "unread": {"count": 0, "first": []},
            "output_padding": None,
            "unwritten": None,
            "receptive_field": {"size": 3, "stride": 2.0, "centre": 0.0},
        }
    ]


def test_a_report_says_what_it_cannot_prove():
    report = chain_report(parse("conv k3 s2 p1, resize x0.29"), 417)
    assert (report.proofs, report.formula, report.period, report.fields[-1]) == ((), None, None, None)
    assert report.fields[0].size == 3
    assert report.remarks[0].startswith(
        "No verdict for all sizes: nothing can be proved about a resize by the float 0.29"
    )
    assert "try: Fraction(29, 100)" in str(report)
    uneven = chain_report([Conv(2, padding="same")], 5)
    assert "has no inverse among torch's layers" in uneven.remarks[0]
    assert "inverse takes a Conv or a Pool" in chain_report(parse("resize x1/2")).remarks[0]
    with pytest.raises(ShapeError, match="there are no layers to report on"):
        chain_report([], 5)


@pytest.mark.parametrize(
    "down", ["resize x1/2", "resize x1/2, resize x1/4", "conv k3 s2 p1, resize x1/2", "pool k2, resize x1/3x1/2"]
)
def test_the_way_back_that_is_proposed_can_give_the_size_back(down):
    proposed = chain_report(parse(down)).remarks[0].partition('try: segup shapes "')[2].rstrip('"')
    (title, proof), *_ = chain_report(parse(proposed)).proofs
    assert (title, proof.never) == ("as written", False)


def test_a_layer_is_a_chain_too():
    assert chain_report(Conv(3), 5).out == 3
    assert isinstance(chain_report(Conv(3)).layers, Layer)
    assert merged([FloorLaw(1, 0, 1)]) == [FloorLaw(1, 0, 1)]


@pytest.mark.parametrize(
    ("size", "out"),
    [(np.int64(9), None), ((np.int32(9), np.uint8(8)), None), (9, np.int64(9)), ([9, 8], (np.int8(9), 8))],
)
def test_numbers_of_other_libraries_leave_a_report_of_ints(size, out):
    chain = parse("conv k2 s2, deconv k3 s2")
    report = chain_report(chain, size, out=out)
    as_ints = json.loads(json.dumps([np.array(one).tolist() if one is not None else None for one in (size, out)]))
    assert json.dumps(report.as_dict()) == json.dumps(chain_report(chain, as_ints[0], out=as_ints[1]).as_dict())
