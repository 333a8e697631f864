"""prove_inversion against brute force, and the sentences a person meets first."""

from fractions import Fraction
from functools import cache

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, inverse, prove_inversion

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


@FEW
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
