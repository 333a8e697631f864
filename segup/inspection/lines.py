"""Integer functions of one size that floors of lines compose to, kept as one period of values."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm

from segup.shapes.law import FloorLaw

LONGEST = 1 << 14


class PeriodTooLongError(ValueError):
    """A line whose period is above :data:`LONGEST`."""


@dataclass(frozen=True)
class Line:
    """A function f of an int n ≥ 0 with f(n + period) = f(n) + growth.

    Every composition of the calculus's laws is one, and so are sums, multiples, quotients rounded down and remainders
    of them: what Python code usually computes from a size. In the shortest form, so equal functions are equal.

    Args:
        growth: What a period adds.
        values: f(0) … f(period − 1).

    >>> half = Line.identity().through(FloorLaw(1, 1, 2))
    >>> half, half(417), half.times(2).minus(Line.identity())
    (Line(growth=1, values=(0, 1)), 209, Line(growth=0, values=(0, 1)))
    """

    growth: int
    values: tuple[int, ...]

    @classmethod
    def identity(cls) -> "Line":
        """Return f(n) = n."""
        return cls(1, (0,))

    @classmethod
    def constant(cls, value: int) -> "Line":
        """Return f(n) = value."""
        return cls(0, (value,))

    @property
    def period(self) -> int:
        """The sizes over which the function repeats, up to its growth."""
        return len(self.values)

    def __call__(self, size: int) -> int:
        """Return f(size)."""
        times, place = divmod(size, len(self.values))
        return self.values[place] + times * self.growth

    def through(self, law: FloorLaw) -> "Line":
        """Return law(f(n))."""
        return _through(self, law)

    def plus(self, other: "Line") -> "Line":
        """Return f(n) + g(n)."""
        return _sum(self, other)

    def minus(self, other: "Line") -> "Line":
        """Return f(n) − g(n)."""
        return self.plus(other.times(-1))

    def times(self, factor: int) -> "Line":
        """Return factor·f(n)."""
        if factor == 1:
            return self
        return Line(factor * self.growth, tuple(factor * v for v in self.values)) if factor else Line.constant(0)

    def over(self, divisor: int) -> "Line":
        """Return ⌊f(n) / divisor⌋ for a divisor of at least 1."""
        return self.through(FloorLaw(1, 0, divisor))

    def modulo(self, divisor: int) -> "Line":
        """Return the remainder of f(n) by a divisor of at least 1."""
        return self.minus(self.over(divisor).times(divisor))

    @property
    def content(self) -> int:
        """The largest int that divides every f(n), with the sign of the growth, or else of the first value."""
        divisor = gcd(self.growth, *self.values)
        leading = self.growth or next((value for value in self.values if value), 1)
        return divisor if leading > 0 else -divisor

    def settled_from(self) -> int:
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


@lru_cache(4096)
def _through(line: Line, law: FloorLaw) -> Line:
    step = law.run // gcd(law.rise * line.growth, law.run)
    return _shortest(map(law, line.first(line.period * step)), law.rise * line.growth * step // law.run)


@lru_cache(4096)
def _sum(one: Line, other: Line) -> Line:
    period = lcm(one.period, other.period)
    growth = one.growth * (period // one.period) + other.growth * (period // other.period)
    return _shortest((a + b for a, b in zip(one.first(period), other.first(period), strict=True)), growth)


def _shortest(values: Iterable[int], growth: int) -> Line:
    """Return the line in its shortest form."""
    full = tuple(values)
    period = len(full)
    for divisor in _primes(period):
        while period % divisor == 0 and growth % divisor == 0:
            shorter, less = period // divisor, growth // divisor
            if any(full[n + shorter] != full[n] + less for n in range(period - shorter)):
                break
            full, period, growth = full[:shorter], shorter, less
    return Line(growth, full)


def _primes(number: int) -> list[int]:
    found, divisor = [], 2
    while number > 1:
        if number % divisor == 0:
            found.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return found
