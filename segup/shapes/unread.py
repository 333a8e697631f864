"""The input positions that no window reads, counted by residue classes instead of walked."""

from bisect import bisect_left
from dataclasses import dataclass
from math import gcd

from segup.shapes.sets import Computed


@dataclass(frozen=True, repr=False)
class Unread(Computed):
    """The indices in 0 … size − 1 that no window reads, as a sequence that is computed and never stored.

    Window o reads the indices ``o·stride − before + dilation·j`` for j = 0 … kernel_size − 1. Positions that can
    be read fall into residue classes modulo the stride; in each of them the windows cover evenly spaced blocks, so
    that the read positions up to any index are counted directly. Length and membership therefore cost the same for
    every size, and an element the logarithm of the size.

    Args:
        size: Input size.
        out: Number of windows, that is the output size.
        kernel_size: Taps of a window.
        stride: Step from a window to the next.
        before: Padding before the first index.
        dilation: Step from a tap to the next.

    >>> gaps = Unread(size=10**12, out=10**11, kernel_size=1, stride=10, before=0, dilation=1)
    >>> len(gaps), gaps[:3], gaps[-1], 20 in gaps
    (900000000000, (1, 2, 3), 999999999999, False)
    >>> gaps
    <900000000000 of 1000000000000: 1, 2, 3, 4, …, 999999999999>
    """

    size: int
    out: int
    kernel_size: int
    stride: int
    before: int
    dilation: int

    def __len__(self) -> int:
        return self._up_to(self.size - 1)

    def at(self, place: int) -> int:
        """Return the index at a place from 0 to below the length."""
        return bisect_left(range(self.size), place + 1, key=self._up_to)

    def __contains__(self, index: object) -> bool:
        if not isinstance(index, int) or not 0 <= index < self.size:
            return False
        return self._up_to(index) > self._up_to(index - 1)

    def __repr__(self) -> str:
        count = len(self)
        shown = [str(index) for index in (self if count <= 6 else self[:4])]
        if count > 6:
            shown += ["…", str(self[-1])]
        return f"<{count} of {self.size}" + (f": {', '.join(shown)}>" if shown else ">")

    def _up_to(self, index: int) -> int:
        """Return how many of the indices 0 … index no window reads."""
        return index + 1 - (self._read(index + self.before) - self._read(self.before - 1))

    def _read(self, position: int) -> int:
        """Return how many of the padded positions 0 … position some window reads.

        The taps j, j + s/g, j + 2s/g, … (g = gcd(s, d)) fall into one residue class modulo the stride s, and in it
        into blocks of ``out`` positions that start every d/g steps.
        """
        common = gcd(self.stride, self.dilation)
        classes, spacing = self.stride // common, self.dilation // common
        total = 0
        for tap in range(min(self.kernel_size, classes)):
            step = (position - self.dilation * tap) // self.stride
            if step < 0:
                break
            blocks = -(-(self.kernel_size - tap) // classes)
            block = min(step // spacing, blocks - 1)
            total += block * min(self.out, spacing) + min(step - block * spacing + 1, self.out)
        return total
