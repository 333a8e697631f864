"""What a size of a map is as a function of the input's size: periodic maps of one axis, and products of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm, prod

from segup.shapes.law import FloorLaw

LONGEST = 1 << 14


class PeriodTooLongError(ValueError):
    """A function whose period is above :data:`LONGEST`."""


@dataclass(frozen=True)
class PeriodicMap:
    """A function f of an int n ≥ 0 with f(n + period) = f(n) + growth.

    Every composition of the calculus's laws is one, and so are sums, multiples, quotients rounded down and remainders
    of them: what Python code usually computes from a size. In the shortest form, so equal functions are equal.

    Args:
        growth: What a period adds.
        values: f(0) … f(period − 1).

    >>> half = PeriodicMap.identity().through(FloorLaw(1, 1, 2))
    >>> half, half(417), half.times(2).minus(PeriodicMap.identity())
    (PeriodicMap(growth=1, values=(0, 1)), 209, PeriodicMap(growth=0, values=(0, 1)))
    """

    growth: int
    values: tuple[int, ...]

    @classmethod
    def identity(cls) -> "PeriodicMap":
        """Return f(n) = n."""
        return cls(1, (0,))

    @classmethod
    def constant(cls, value: int) -> "PeriodicMap":
        """Return f(n) = value."""
        return cls(0, (value,))

    @classmethod
    def of(cls, growth: int, values: Iterable[int]) -> "PeriodicMap":
        """Return the function of these values in its shortest form."""
        return _shortest(values, growth)

    @property
    def period(self) -> int:
        """The sizes over which the function repeats, up to its growth."""
        return len(self.values)

    def __call__(self, size: int) -> int:
        """Return f(size)."""
        times, place = divmod(size, len(self.values))
        return self.values[place] + times * self.growth

    @lru_cache(4096)  # noqa: B019 -- of small values that are equal again and again
    def through(self, law: FloorLaw) -> "PeriodicMap":
        """Return law.out(f(n))."""
        step = law.run // gcd(law.rise * self.growth, law.run)
        return _shortest(map(law.out, self.first(self.period * step)), law.rise * self.growth * step // law.run)

    @lru_cache(4096)  # noqa: B019
    def plus(self, other: "PeriodicMap") -> "PeriodicMap":
        """Return f(n) + g(n)."""
        period = lcm(self.period, other.period)
        growth = self.growth * (period // self.period) + other.growth * (period // other.period)
        return _shortest((a + b for a, b in zip(self.first(period), other.first(period), strict=True)), growth)

    def minus(self, other: "PeriodicMap") -> "PeriodicMap":
        """Return f(n) − g(n)."""
        return self.plus(other.times(-1))

    def times(self, factor: int) -> "PeriodicMap":
        """Return factor·f(n)."""
        if factor in (0, 1):
            return self if factor else PeriodicMap.constant(0)
        return PeriodicMap(factor * self.growth, tuple(factor * value for value in self.values))

    def over(self, divisor: int) -> "PeriodicMap":
        """Return ⌊f(n) / divisor⌋ for a divisor of at least 1."""
        return self.through(FloorLaw(1, 0, divisor))

    def modulo(self, divisor: int) -> "PeriodicMap":
        """Return the remainder of f(n) by a divisor of at least 1."""
        return self.minus(self.over(divisor).times(divisor))

    @property
    def content(self) -> int:
        """The largest int that divides every f(n), with the sign of the growth, or else of the first value."""
        divisor = gcd(self.growth, *self.values)
        leading = self.growth or next((value for value in self.values if value), 1)
        return divisor if leading > 0 else -divisor

    def repeats_from(self) -> int:
        """Return the size from which on the sign of f(n) repeats with the period."""
        if self.growth == 0:
            return 0
        grows = abs(self.growth)
        last = 0
        for place, value in enumerate(self.values):
            behind = -value if self.growth > 0 else value
            if behind >= 0:
                last = max(last, place + (behind // grows + 1) * self.period)
        return last

    def first(self, count: int) -> list[int]:
        """Return f(0) … f(count − 1), for a multiple of the period."""
        if count > LONGEST:
            raise PeriodTooLongError(f"repeats only after {count} sizes; up to {LONGEST} are followed")
        more = (times * self.growth for times in range(count // self.period))
        return [value + gained for gained in more for value in self.values]


@dataclass(frozen=True)
class Extent:
    """A product of periodic maps, each of one axis of the input: a size, or several sizes flattened into one.

    Args:
        coefficient: An int.
        factors: Pairs of an axis and a periodic map whose values have no common divisor, sorted.
    """

    coefficient: int
    factors: tuple[tuple[int, PeriodicMap], ...]

    @classmethod
    @lru_cache(4096)
    def of(cls, axis: int, function: PeriodicMap) -> "Extent":
        """Return one function as an extent."""
        if function.growth == 0 and function.period == 1:
            return cls(function.values[0], ())
        content = function.content
        if content in (0, 1):
            return cls(1, ((axis, function),))
        reduced = PeriodicMap(function.growth // content, tuple(value // content for value in function.values))
        return cls(content, ((axis, reduced),))

    def times(self, other: "Extent") -> "Extent":
        """Return the product."""
        factors = sorted((*self.factors, *other.factors), key=lambda one: (one[0], one[1].growth, one[1].values))
        return Extent(self.coefficient * other.coefficient, tuple(factors))

    def divided(self, other: "Extent") -> "Extent | None":
        """Return the quotient where every factor of ``other`` is one of these, else None."""
        left = list(self.factors)
        for factor in other.factors:
            if factor not in left:
                return None
            left.remove(factor)
        if other.coefficient == 0 or self.coefficient % other.coefficient:
            return None
        return Extent(self.coefficient // other.coefficient, tuple(left))

    def at(self, size: tuple[int, int]) -> int:
        """Return the value at an input of ``size``."""
        return self.coefficient * prod(function(size[axis]) for axis, function in self.factors)

    def single(self) -> tuple[int, PeriodicMap] | None:
        """Return the axis and the function of an extent of one factor, else None."""
        if len(self.factors) != 1:
            return None
        axis, function = self.factors[0]
        return axis, function.times(self.coefficient)


def _shortest(values: Iterable[int], growth: int) -> PeriodicMap:
    """Return the function in its shortest form."""
    full = tuple(values)
    period = len(full)
    for divisor in _primes(period):
        while period % divisor == 0 and growth % divisor == 0:
            shorter, less = period // divisor, growth // divisor
            if any(full[n + shorter] != full[n] + less for n in range(period - shorter)):
                break
            full, period, growth = full[:shorter], shorter, less
    return PeriodicMap(growth, full)


def _primes(number: int) -> list[int]:
    found, divisor = [], 2
    while number > 1:
        if number % divisor == 0:
            found.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return found
