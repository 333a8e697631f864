from hypothesis import given
from hypothesis import strategies as st

from segup.inspection.periodic import PeriodicMap
from segup.shapes.law import FloorLaw

laws = st.builds(FloorLaw, st.integers(1, 4), st.integers(-9, 9), st.integers(1, 4))


@given(st.lists(laws, max_size=4), st.integers(0, 500))
def test_a_composition_is_the_laws_one_after_the_other(chain, size):
    line, value = PeriodicMap.identity(), size
    for law in chain:
        line, value = line.through(law), law.out(value)
    assert line(size) == value


@given(
    st.lists(laws, max_size=3), st.lists(laws, max_size=3), st.integers(-5, 5), st.integers(1, 7), st.integers(0, 300)
)
def test_arithmetic_is_that_of_the_values(one, other, factor, divisor, size):
    first, second = PeriodicMap.identity(), PeriodicMap.identity()
    for law in one:
        first = first.through(law)
    for law in other:
        second = second.through(law)
    a, b = first(size), second(size)
    assert first.plus(second)(size) == a + b
    assert first.minus(second)(size) == a - b
    assert first.times(factor)(size) == a * factor
    assert first.over(divisor)(size) == a // divisor
    assert first.modulo(divisor)(size) == a % divisor


@given(st.integers(-6, 6), st.lists(st.integers(-40, 40), min_size=1, max_size=6))
def test_the_sign_repeats_from_where_it_is_said_to(growth, values):
    line = PeriodicMap(growth, tuple(values))
    start = line.repeats_from()
    signs = [(line(n) > 0) - (line(n) < 0) for n in range(start, start + 4 * line.period)]
    assert signs == (signs[: line.period] * 4)


@given(st.lists(laws, max_size=3))
def test_equal_functions_are_equal_lines(chain):
    line = PeriodicMap.identity()
    for law in chain:
        line = line.through(law)
    longer = PeriodicMap(line.growth * 3, tuple(line(n) for n in range(3 * line.period)))
    assert longer.times(1).plus(PeriodicMap.constant(0)) == line
