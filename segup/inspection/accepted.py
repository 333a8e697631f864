"""The sizes that a module accepts on one axis, as a value: what an image is extended to, and how that is said."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import torch

from segup.errors import ShapeError
from segup.shapes.sets import Runs, SizeSet, joined
from segup.symbols import is_exporting


@dataclass(frozen=True)
class AcceptedSizes:
    """The sizes that a module accepts: all from one on, multiples of a number, all but some bands, or a few.

    Args:
        sizes: The set.

    >>> patches = AcceptedSizes.multiples(14, least=28)
    >>> str(patches), patches.next(1), patches.next(224), patches.next(225), patches.extension
    ('the multiples of 14 from 28 on', 28, 224, 238, 13)
    >>> str(AcceptedSizes.all_from(32)), str(AcceptedSizes.only(224))
    ('every size from 32 on', '224 alone')
    """

    sizes: SizeSet

    @classmethod
    def all_from(cls, least: int) -> "AcceptedSizes":
        """Return all sizes from ``least`` on."""
        return cls(SizeSet.all_from(least))

    @classmethod
    def multiples(cls, of: int, least: int, below: Iterable[int] = ()) -> "AcceptedSizes":
        """Return the multiples of a number from ``least`` on, which is one of them, and some sizes ``below`` it."""
        few = (range(size, size + 1) for size in below)
        return cls(SizeSet.of(least, of, [range(least, least + 1)], few, min([least, *below])))

    @classmethod
    def only(cls, *few: int) -> "AcceptedSizes":
        """Return a few sizes, at least one."""
        return cls(SizeSet.finite((range(size, size + 1) for size in few), min(few)))

    @property
    def least(self) -> int:
        """The smallest of them."""
        return next(iter(Runs((*self.sizes.below, *self.sizes.runs))))

    @property
    def most(self) -> int | None:
        """The largest of them; None where there is none."""
        return None if self.sizes.runs else self.sizes.below[-1][-1]

    @property
    def multiple(self) -> int:
        """The number of which they are multiples from some size on; 1 where they are not."""
        runs, period = self.sizes.runs, self.sizes.period
        return period if len(runs) == 1 and len(runs[0]) == 1 and runs[0].start % period == 0 else 1

    @property
    def extension(self) -> int:
        """Most rows by which a size of at least :attr:`least` is short of the next one."""
        low, end = self.least, self.sizes.start + 2 * self.sizes.period
        members = self.sizes.between(low, end if self.sizes.runs else self.sizes.start)
        return max((after.start - before.stop for before, after in pairwise(members)), default=0)

    def whole_cells(self, cell: int) -> "AcceptedSizes | None":
        """Return those of them that are multiples of ``cell``; None where none is.

        >>> str(AcceptedSizes.all_from(7).whole_cells(14)), AcceptedSizes.only(100).whole_cells(16)
        ('the multiples of 14', None)
        """
        found = self.sizes.intersection(SizeSet.of(cell, cell, [range(cell, cell + 1)], (), cell))
        return AcceptedSizes(found) if found.runs or found.below else None

    def __contains__(self, size: object) -> bool:
        return size in self.sizes

    def next(self, size: int) -> int:
        """Return the smallest one that is not below ``size``.

        Raises:
            ShapeError: All are below it.
        """
        sizes = self.sizes
        if isinstance(size, torch.SymInt) and is_exporting():
            return _next_of_any(sizes, size)
        if len(sizes.runs) == 1 and len(sizes.runs[0]) == 1 and not sizes.below:  # for a size of torch.compile, too
            first, period = sizes.runs[0].start, sizes.period
            return first + max((size - first + period - 1) // period, 0) * period
        found = sizes.at_least(size)
        if found is None:
            raise ShapeError(f"size {size} is above {self.most}, the largest that is accepted")
        return found

    def up_to(self, size: int) -> Runs:
        """Return those that are not above ``size``."""
        return Runs(self.sizes.between(1, size))

    def __str__(self) -> str:
        sizes = self.sizes
        if not sizes.runs:
            if len(sizes.below) > 1:
                return repr(Runs(sizes.below))
            return f"every size from {self.least} to {self.most}" if self.most != self.least else f"{self.least} alone"
        if sizes.period == 1:
            missing = joined(
                range(a.stop, b.start) for a, b in zip(sizes.below, [*sizes.below[1:], *sizes.runs], strict=False)
            )
            but = " but " + ", ".join(f"{b.start} … {b[-1]}" if len(b) > 1 else str(b.start) for b in missing)
            return f"every size from {self.least} on{but if missing else ''}"
        few = f"{', '.join(map(str, Runs(sizes.below)))} and " if sizes.below else ""
        if self.multiple > 1:
            start = "" if sizes.start == self.multiple else f" from {sizes.start} on"
            return f"{few}the multiples of {self.multiple}{start}"
        residues = Runs(joined(range(n, n + 1) for n in {size % sizes.period for size in Runs(sizes.runs)}))
        return f"{few}the sizes from {sizes.runs[0].start} on that are {residues!r} mod {sizes.period}"


_FAR = 2**30


def _next_of_any(sizes: SizeSet, size: torch.SymInt) -> int:
    """Return :meth:`AcceptedSizes.next` as a formula of a size that is a symbol; above the largest, the largest.

    No division has a negative number above the line, which ONNX would round towards zero.
    """
    found: list[Any] = []  # numbers and symbols
    for run in sizes.runs:
        periods = (torch.sym_max(size - run[-1], 0) + sizes.period - 1) // sizes.period
        found.append(torch.sym_max(size, run.start + periods * sizes.period if sizes.period > 1 else run.start))
    for run in sizes.below:  # one that ends below the size is out of the way
        beyond = torch.sym_min(torch.sym_max(size - run[-1], 0), 1)
        found.append(torch.sym_max(size, run.start) + _FAR * beyond)
    if not sizes.runs:
        found = [reduce(torch.sym_min, found), sizes.below[-1][-1]]
    return reduce(torch.sym_min, found)
