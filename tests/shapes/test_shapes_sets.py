"""Sets of sizes against Python's sets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes.sets import Runs, SizeSet, joined

many = settings(max_examples=300, deadline=None)
HORIZON = 120


@st.composite
def size_sets(draw):
    start, period = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    pattern = draw(st.sets(st.integers(0, period - 1)))
    below = draw(st.sets(st.integers(1, start - 1))) if start > 1 else set()
    made = SizeSet.of(
        start, period, [range(start + r, start + r + 1) for r in pattern], [range(n, n + 1) for n in below]
    )
    members = below | {n for n in range(start, 4 * HORIZON) if (n - start) % period in pattern}
    return made, members


@many
@given(size_sets())
def test_membership_and_neighbours(case):
    made, members = case
    assert [n for n in range(-3, HORIZON) if n in made] == sorted(n for n in members if n < HORIZON)
    for n in range(1, 40):
        assert made.at_least(n) == min((m for m in members if m >= n), default=None)
        assert made.at_most(n) == max((m for m in members if m <= n), default=None)
        missing = next((m for m in range(n, 2 * HORIZON) if m not in members), None)
        assert made.first_missing(n) == missing
        between = [m for run in made.between(n, n + 17) for m in run]
        assert between == sorted(m for m in members if n <= m <= n + 17)


@many
@given(size_sets(), size_sets())
def test_intersection(one, other):
    both = one[0].intersection(other[0])
    assert [n for n in range(1, HORIZON) if n in both] == sorted(n for n in one[1] & other[1] if n < HORIZON)


@many
@given(size_sets())
def test_the_start_is_the_smallest_from_which_the_pattern_repeats(case):
    made, members = case
    assert 1 <= made.start <= 12
    if made.start > 1:
        n = made.start - 1
        period = made.period
        assert (n in members) != ((n + period) in members)


@many
@given(st.sets(st.integers(0, 40)))
def test_runs_are_a_sequence(numbers):
    runs = Runs(joined(range(n, n + 1) for n in numbers))
    expected = sorted(numbers)
    assert list(runs) == expected
    assert len(runs) == len(expected)
    assert [runs[i] for i in range(-len(expected), len(expected))] == expected * 2
    assert runs[1::2] == tuple(expected[1::2])
    assert [n for n in range(-1, 42) if n in runs] == expected
