"""Exact sets of sizes: finitely many small ones, then the same residues in every period."""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import lcm
from typing import overload


class Computed(Sequence[int]):
    """Increasing ints that are computed and never stored: a subclass has a length, and :meth:`at`."""

    @abstractmethod
    def at(self, place: int) -> int:
        """Return the number at a place from 0 to below the length."""

    @overload
    def __getitem__(self, item: int) -> int: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[int, ...]: ...
    def __getitem__(self, item: int | slice) -> int | tuple[int, ...]:
        length = len(self)
        if isinstance(item, slice):
            return tuple(map(self.at, range(*item.indices(length))))
        if not -length <= item < length:
            raise IndexError(f"index {item} is outside a sequence of {length}")
        return self.at(item % length)


@dataclass(frozen=True, repr=False)
class Runs(Computed):
    """Increasing ints, kept as disjoint, increasing ranges of step 1.

    >>> numbers = Runs((range(2, 4), range(7, 8)))
    >>> len(numbers), numbers[-1], list(numbers), 5 in numbers, numbers
    (3, 7, [2, 3, 7], False, {2, 3, 7})
    """

    ranges: tuple[range, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def at(self, place: int) -> int:
        """Return the number at a place from 0 to below the length."""
        ends = list(accumulate(map(len, self.ranges)))
        run = bisect_right(ends, place)
        return self.ranges[run][place - ends[run]]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.ranges)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and run_at(self.ranges, number) is not None

    def __repr__(self) -> str:
        count = len(self)
        if count <= 16:
            return "{" + ", ".join(map(str, self)) + "}"
        return "{" + ", ".join(map(str, self[:8])) + f", …, {self[-1]}}} ({count} numbers)"


def run_at(ranges: tuple[range, ...], number: int) -> range | None:
    """Return the one of the increasing ``ranges`` that holds ``number``, or None."""
    place = bisect_right(ranges, number, key=lambda run: run.start) - 1
    return ranges[place] if place >= 0 and number in ranges[place] else None


def joined(ranges: Iterable[range]) -> tuple[range, ...]:
    """Return the ranges sorted, without empty ones, and joined where they touch or overlap.

    >>> joined([range(4, 6), range(1, 3), range(3, 4), range(9, 9)])
    (range(1, 6),)
    """
    result: list[range] = []
    for run in sorted((run for run in ranges if run), key=lambda run: run.start):
        if result and run.start <= result[-1].stop:
            result[-1] = range(result[-1].start, max(result[-1].stop, run.stop))
        else:
            result.append(run)
    return tuple(result)


def clipped(ranges: Iterable[range], low: int, high: int) -> tuple[range, ...]:
    """Return what lies from ``low`` to ``high``, both included."""
    return tuple(filter(None, (range(max(run.start, low), min(run.stop, high + 1)) for run in ranges)))


@dataclass(frozen=True)
class SizeSet:
    """A set of sizes: those of ``below``, all under ``start``; from ``start`` on, ``runs`` repeated every ``period``.

    Build it with :meth:`of`, which brings it to its shortest form; then two sets with one content mostly compare
    equal.

    Args:
        start: From here on the pattern repeats.
        period: Its length.
        runs: The pattern, ranges within start … start + period − 1.
        below: The members under ``start``.

    >>> odd = SizeSet.of(start=1, period=2, runs=[range(1, 2)])
    >>> 417 in odd, 10**12 in odd, odd.at_least(4), odd.at_most(4), odd.first_missing(1)
    (True, False, 5, 3, 2)
    """

    start: int
    period: int
    runs: tuple[range, ...]
    below: tuple[range, ...]

    @classmethod
    def of(
        cls, start: int, period: int, runs: Iterable[range], below: Iterable[range] = (), least: int = 1
    ) -> "SizeSet":
        """Return the set in its shortest form; ``start`` moves down, at most to ``least``, while the pattern holds."""
        pattern, finite = joined(runs), joined(below)
        if not pattern:
            period = 1
        elif len(pattern[0]) == period:
            pattern, period = (range(start, start + 1),), 1
        full = cls(start, period, pattern, finite)
        lower = full._lowest_start(least)
        return cls(lower, period, full._pattern_between(lower, lower + period - 1), clipped(finite, least, lower - 1))

    @classmethod
    def finite(cls, runs: Iterable[range], least: int = 1) -> "SizeSet":
        """Return the set of these sizes alone."""
        ranges = joined(runs)
        return cls.of(ranges[-1].stop if ranges else least, 1, (), ranges, least)

    @classmethod
    def all_from(cls, least: int) -> "SizeSet":
        """Return the set of all sizes from ``least`` on."""
        return cls(least, 1, (range(least, least + 1),), ())

    def __contains__(self, size: object) -> bool:
        return isinstance(size, int) and self._run_at(size) is not None

    def between(self, low: int, high: int) -> tuple[range, ...]:
        """Return the members from ``low`` to ``high``, both included, as ranges."""
        repeated = self._pattern_between(max(low, self.start), high) if high >= self.start else ()
        return joined([*clipped(self.below, low, high), *repeated])

    def at_least(self, size: int) -> int | None:
        """Return the smallest member that is not below ``size``, or None."""
        found = self.between(size, max(size, self.start) + 2 * self.period)
        return found[0].start if found else None

    def at_most(self, size: int) -> int | None:
        """Return the largest member that is not above ``size``, or None."""
        recent = self._pattern_between(max(self.start, size - 2 * self.period), size) if size >= self.start else ()
        found = recent or clipped(self.below, 0, size)
        return found[-1][-1] if found else None

    def first_missing(self, size: int) -> int | None:
        """Return the smallest size that is not below ``size`` and not a member, or None."""
        end = max(size, self.start) + 2 * self.period
        while size < end:
            run = self._run_at(size)
            if run is None:
                return size
            size = run.stop
        return None

    def intersection(self, other: "SizeSet") -> "SizeSet":
        """Return the sizes that are members of both."""
        start, period = max(self.start, other.start), lcm(self.period, other.period)
        few, many = sorted((self, other), key=lambda one: len(one.runs) * (period // one.period))
        least = min([start, *(run.start for run in (*self.below[:1], *other.below[:1]))])

        def common(low: int, high: int) -> list[range]:
            return [part for run in few.between(low, high) for part in many.between(run.start, run.stop - 1)]

        return SizeSet.of(start, period, common(start, start + period - 1), common(least, start - 1), least)

    def _run_at(self, size: int) -> range | None:
        if size < self.start:
            return run_at(self.below, size)
        shift = (size - self.start) // self.period * self.period
        run = run_at(self.runs, size - shift)
        return None if run is None else range(run.start + shift, run.stop + shift)

    def _pattern_between(self, low: int, high: int) -> tuple[range, ...]:
        """Return the pattern's sizes from ``low`` to ``high``, continued below ``start`` as well."""
        if not self.runs:
            return ()
        if self.period == 1:
            return (range(low, high + 1),) if low <= high else ()
        cycles = range((low - self.start) // self.period, (high - self.start) // self.period + 1)
        shifted = (range(run.start + q * self.period, run.stop + q * self.period) for q in cycles for run in self.runs)
        return joined(clipped(shifted, low, high))

    def _lowest_start(self, least: int) -> int:
        """Return the size just above the last one where membership and pattern differ.

        Membership changes at the ends of runs. Where both have an end they go on to differ, or to agree, as before.
        """
        expected = self._pattern_between(least, self.start - 1)
        actual = clipped(self.below, least, self.start - 1)
        ends = [{end for run in runs for end in (run.start, run.stop)} for runs in (expected, actual)]
        return max(ends[0] ^ ends[1], default=min(least, self.start))
