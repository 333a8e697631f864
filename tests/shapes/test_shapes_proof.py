"""prove_inversion against brute force, and the sentences a person meets first."""

from fractions import Fraction
from functools import cache

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, inverse, prove_inversion

FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
LONGEST = 256


@st.composite
def convs(draw, strides=(1, 2, 3, 4)):
    kernel, stride = draw(st.integers(1, 7)), draw(st.sampled_from(strides))
    return Conv(kernel, stride, draw(st.integers(0, kernel)), draw(st.integers(1, 3)))


@st.composite
def pools(draw):
    kernel = draw(st.integers(1, 5))
    return Pool(kernel, draw(st.integers(1, 4)), draw(st.integers(0, kernel // 2)), 1, draw(st.booleans()))


@st.composite
def transposed(draw):
    kernel, stride, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel))
    return ConvTranspose(kernel, stride, padding, draw(st.integers(0, max(stride, dilation) - 1)), dilation)


factors = st.fractions(min_value=Fraction(1, 3), max_value=4, max_denominator=3)
resizes = st.one_of(st.builds(Resize, factors), st.builds(PixelShuffle, st.integers(1, 3)))
downs = st.one_of(convs(), pools())
ups = st.one_of(transposed(), transposed(), resizes)
any_layer = st.one_of(convs(), pools(), transposed(), resizes)


@cache
def out_or_none(layer, size):
    try:
        return layer.out(size)
    except ShapeError:
        return None


def path(layers, size):
    """Return the size after each layer, or None where one refuses."""
    sizes = [size]
    for layer in layers:
        sizes.append(out_or_none(layer, sizes[-1]))
        if sizes[-1] is None:
            return None
    return sizes


def reached(layers, size, matched):
    """Return all sizes that can be reached, by walking every choice."""
    sizes = {size}
    for layer in layers:
        if matched and isinstance(layer, ConvTranspose):
            sizes = {out for one in sizes for out in layer.reachable(one)}
        else:
            sizes = {out_or_none(layer, one) for one in sizes} - {None}
    return sizes


def layers_of(stage):
    return list(stage) if isinstance(stage, list) else [stage]


def brute_force(down, up, size, matched, ends_only):
    """Return whether the size is given back, or None where the way down refuses it."""
    tops, here = [size], [size]
    for stage in down:
        here = path(layers_of(stage), here[-1])
        if here is None:
            return None
        tops.append(here[-1])
    if ends_only:
        return size in reached([layer for stage in up for layer in layers_of(stage)], tops[-1], matched)
    return all(
        top in reached(layers_of(stage), low, matched)
        for top, low, stage in zip(tops[-2::-1], tops[::-1], up, strict=False)
    )


def check(proof, down, up, matched, ends_only, sizes):
    outcomes = {n: brute_force(down, up, n, matched, ends_only) for n in sizes}
    accepted = [n for n, outcome in outcomes.items() if outcome is not None]
    holding = [n for n, outcome in outcomes.items() if outcome]
    failing = [n for n in accepted if not outcomes[n]]
    assert [n for n in sizes if proof.holds(n)] == holding
    assert proof.min_size == accepted[0]
    if failing:
        assert proof.counterexample == failing[0]
    elif proof.period is not None:
        assert proof.always
        assert proof.counterexample is None
    assert not (holding and proof.never)
    if proof.period is not None:
        assert proof.start >= proof.min_size
        assert [n for n in sizes if n >= proof.start and n % proof.period in proof.residues] + list(
            proof.exceptions
        ) == [n for n in holding if n >= proof.start] + [n for n in holding if n < proof.start]
    for n in sizes[:: max(1, len(sizes) // 10)]:
        below, above = proof.nearest(n)
        assert below == max((one for one in holding if one <= n), default=None)
        if above is None or above <= sizes[-1]:
            assert above == min((one for one in holding if one >= n), default=None)


@FEW
@given(st.lists(st.tuples(downs, ups), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_chains_of_up_to_five_stages_agree_with_brute_force(stages, matched, ends_only):
    down, up = [one for one, _ in stages], [one for _, one in stages]
    proof = prove_inversion(down, up, matched=matched, ends_only=ends_only)
    period = proof.period or 100
    assume(period <= LONGEST)
    check(proof, down, up, matched, ends_only, range(1, proof.min_size + 3 * period + 1))


@settings(FEW, max_examples=30)
@given(st.lists(downs, min_size=1, max_size=5), st.booleans(), st.data())
def test_inverse_layers_agree_with_brute_force(down, matched, data):
    up = [inverse(one) for one in reversed(down)]
    shuffled = data.draw(st.permutations(up))
    for ways_up in (up, shuffled):
        for ends_only in (False, True):
            proof = prove_inversion(down, ways_up, matched=matched, ends_only=ends_only)
            period = proof.period or 100
            assume(period <= LONGEST)
            check(proof, down, ways_up, matched, ends_only, range(1, proof.min_size + 3 * period + 1))
    assert prove_inversion(down, up, matched=True).always


@FEW
@given(
    st.lists(st.lists(any_layer, min_size=1, max_size=2), min_size=1, max_size=2),
    st.lists(st.lists(any_layer, max_size=2), min_size=1, max_size=3),
    st.booleans(),
)
def test_any_layers_on_either_way_agree_with_brute_force_at_the_ends(down, up, matched):
    proof = prove_inversion(down, up, matched=matched, ends_only=True)
    period = proof.period or 60
    assume(period <= LONGEST)
    check(proof, down, up, matched, True, range(1, proof.min_size + 3 * period + 1))
    if len(down) == len(up):
        proof = prove_inversion(down, up, matched=matched)
        assume((proof.period or 60) <= LONGEST)
        check(proof, down, up, matched, False, range(1, proof.min_size + 3 * (proof.period or 60) + 1))


@FEW
@given(st.lists(downs, min_size=1, max_size=4), st.lists(ups, min_size=1, max_size=4))
def test_a_slope_other_than_one_leaves_finitely_many_sizes_and_all_are_found(down, up):
    proof = prove_inversion(down, up, ends_only=True)
    assume(proof.period is None)
    assert not proof.residues
    largest = proof.exceptions[-1] if proof.exceptions else 0
    assume(largest < 2000)
    check(proof, down, up, False, True, range(1, max(largest, proof.min_size) + 200))


def test_height_and_width_are_independent():
    down, up = [Conv(3, 2, 1)] * 2, [ConvTranspose((3, 4), 2, 1)] * 2
    proof = prove_inversion(down, up)
    assert (proof.period, proof.start, proof.min_size) == ((4, 4), (1, 1), (1, 1))
    assert tuple(map(list, proof.residues)) == ([1], [0])
    assert tuple(map(list, proof.exceptions)) == ([], [])
    assert (proof.holds((417, 416)), proof.holds((416, 417)), proof.always, proof.never) == (True, False, False, False)
    assert proof.counterexample == (2, 1)
    assert proof.nearest((416, 417)) == ((413, 416), (417, 420))
    with pytest.raises(ShapeError, match=r"proof about layers that treat height and width differently\.\n  try: a \("):
        proof.holds(416)


def test_the_counterexample_of_the_width_alone():
    proof = prove_inversion([Conv((1, 3), (1, 2), (0, 1))], [ConvTranspose((1, 3), (1, 2), (0, 1))])
    assert (proof.counterexample, proof.always, proof.period) == ((1, 2), False, (1, 2))
    assert not proof.holds((1, 2))
    assert proof.holds((7, 3))


def test_equal_axes_take_pairs_as_well():
    proof = prove_inversion([Conv(3, 2, 1)], [ConvTranspose(3, 2, 1)])
    assert (proof.holds((417, 33)), proof.holds((417, 34))) == (True, False)


@pytest.mark.parametrize("size", [0, 2.0, True, "417"])
def test_sizes_asked_about_are_checked(size):
    with pytest.raises(ShapeError, match="size must be an int of at least 1"):
        prove_inversion([Conv(1)], [Conv(1)]).holds(size)


def test_sizes_below_the_smallest_are_not_given_back():
    proof = prove_inversion([Conv(9, 2)], [ConvTranspose(9, 2)], matched=True)
    assert (proof.always, proof.min_size, proof.holds(8), proof.holds(9)) == (True, 9, False, True)


def test_lists_of_different_lengths_are_compared_at_the_ends_alone():
    with pytest.raises(ShapeError) as caught:
        prove_inversion([Conv(3)] * 3, [ConvTranspose(3)] * 2)
    assert str(caught.value) == (
        "down has 3 stages and up has 2: stage by stage, each needs its way back.\n"
        "  try: ends_only=True, or a list of the layers of one stage, such as [[conv, pool], conv]."
    )
    stem = [Conv(7, 2, 3), Pool(3, 2, 1)]
    assert prove_inversion(stem, [PixelShuffle(4)], ends_only=True).residues[:] == (0,)
    assert prove_inversion([stem], [PixelShuffle(4)]).residues[:] == (0,)
    assert prove_inversion([Chain(stem)], [PixelShuffle(4)]) == prove_inversion([stem], [PixelShuffle(4)])


def test_nothing_is_proved_about_a_float_factor():
    for down, up in (([Conv(3, 2, 1)], [Resize(2.0)]), ([Resize(0.5)], [Resize(2)])):
        for options in ({}, {"ends_only": True}, {"matched": True}):
            with pytest.raises(ShapeError, match=r"^nothing can be proved about a resize by the float"):
                prove_inversion(down, up, **options)


def test_only_layers_are_proved_about():
    with pytest.raises(ShapeError, match=r"^up must hold layers such as Conv\(3, stride=2, padding=1\), not 2\.$"):
        prove_inversion([Conv(3)], [2])
    with pytest.raises(ShapeError, match=r"not 'conv k3'\.\n  try: segup\.shapes\.parse\('conv k3'\)"):
        prove_inversion("conv k3", [Conv(3)])


def test_a_period_beyond_what_is_decided_is_refused():
    with pytest.raises(ShapeError, match=r"repeats only after 10000019 sizes at the bottom; up to 1000000 are decided"):
        prove_inversion([Resize(Fraction(10000019, 3))], [Resize(Fraction(3, 10000019))])


def test_more_stretches_than_are_decided_are_refused():
    """Strides that differ by 1 in 10**9 drift apart so slowly that a thousand million sizes hold."""
    with pytest.raises(ShapeError, match=r"drift apart by 1 in 1000000000 sizes, which leaves 999999999 stretches"):
        prove_inversion([Conv(10**9, 10**9)], [ConvTranspose(10**9 + 1, 10**9 + 1)])
    assert list(prove_inversion([Conv(9, 9)], [ConvTranspose(10, 10)]).exceptions) == list(range(10, 81, 10))


def test_sizes_below_the_start_are_told_apart():
    """The way up refuses 1 and 2, which the way down accepts."""
    proof = prove_inversion([Conv(1)], [[Conv(3), Conv(1, padding=1)]])
    assert (proof.always, proof.min_size, proof.counterexample, proof.start) == (False, 1, 1, 3)
    assert (list(proof.residues), list(proof.exceptions)) == ([0], [])
    lines = str(proof).splitlines()
    assert lines[2:4] == [
        "Every stage gets back its size for every size from 3 on; below 3, for none.",
        "  Fails first at 1: down 1 → 1, and up stage 1 refuses 1.",
    ]
    assert lines[4].endswith("the size 3 decides all that follow, and those below 3 were looked at one by one.")


def test_the_start_is_a_size_that_is_accepted():
    proof = prove_inversion([Conv(3, 2, 1), Pool(2)], [ConvTranspose(2, 2), ConvTranspose(4, 2, 1)])
    assert (proof.min_size, proof.start, list(proof.residues)) == (3, 3, [0])
    assert "exactly for n mod 4 in {0}, from 3 on." in str(proof)


def test_always_in_words():
    assert str(
        prove_inversion([Conv(3, 2, 1), Pool(2)], [ConvTranspose(2, 2), ConvTranspose(3, 2, 1)], matched=True)
    ) == (
        "down: conv k3 s2 p1 | pool k2 s2\n"
        "up:   deconv k2 s2 | deconv k3 s2 p1 (each transposed convolution is given the size to reach)\n"
        "Every stage gets back its size for every size from 3 on: always.\n"
        "  Why this is proved: every layer is the floor of a line. With n + 4 for n, the sizes on the way down grow by "
        "4, 2, 1, those on the way up by the same, and every comparison stays as it was: the 4 sizes 3 … 6 decide all "
        "that follow."
    )


def test_finitely_many_in_words():
    assert str(prove_inversion([Conv(3, 2, 1)], [ConvTranspose(3, 2, 1)] * 2, ends_only=True)) == (
        "down: conv k3 s2 p1\n"
        "up:   deconv k3 s2 p1 | deconv k3 s2 p1\n"
        "The way up ends at the input's size for {1} alone.\n"
        "  Fails first at 2: down 2 → 1, and up brings 1 to 1, not to 2.\n"
        "  Why this is proved: every layer is the floor of a line. With n + 2 for n, 'conv k3 s2 p1' adds 1, and "
        "'deconv k3 s2 p1, deconv k3 s2 p1' makes of it 4 where 2 is needed: the two drift apart, each residue modulo "
        "2 can hold in a bounded stretch only, and all of these were solved."
    )


def test_never_in_words_axis_by_axis():
    lines = str(prove_inversion([Conv(3, 2)], [ConvTranspose((9, 3), 2, (4, 0))])).splitlines()
    assert lines[2:4] == [
        "Height. Every stage gets back its size at no size: never.",
        "  Fails first at 3: down 3 → 1, and up stage 1 brings 1 to 1, not to 3.",
    ]
    assert lines[5] == "Width. Every stage gets back its size exactly for n mod 2 in {1}, from 3 on."
    refused = str(prove_inversion([Conv(3, 2, 1)], [ConvTranspose(1, 2, 2)], matched=True))
    assert "up stage 1 refuses 1." in refused


@FEW
@given(st.lists(st.tuples(downs, ups), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_every_proof_has_words_that_name_its_counterexample(stages, matched, ends_only):
    proof = prove_inversion(
        [one for one, _ in stages], [one for _, one in stages], matched=matched, ends_only=ends_only
    )
    words = str(proof)
    assert ("always" in words, "never" in words) == (proof.always, proof.never)
    assert (f"Fails first at {proof.counterexample}: " in words) == (proof.counterexample is not None)
