"""The one form that every exact size rule has: a floor of a line."""

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class FloorLaw:
    """One axis of one layer, as the map n ↦ ⌊(rise·n + offset) / run⌋.

    A convolution has rise 1 and run = stride, a transposed convolution rise = stride and run 1, a resize by
    a/b has rise a and run b. The map never falls, and ``law.out(n + run) == law.out(n) + rise`` for every n: this is
    what turns a finite check into a proof.

    Nothing here is checked, so sizes may also be symbols; :attr:`least` is the smallest size that has an output.

    >>> law = FloorLaw(rise=1, offset=1, run=2)
    >>> law.out(416), law.out(417), law.first(209), law.last(209)
    (208, 209, 417, 418)
    """

    rise: int
    offset: int
    run: int

    def out(self, size: int) -> int:
        """Return the output size for ``size``."""
        return (self.rise * size + self.offset) // self.run

    def first(self, out: int) -> int:
        """Return the smallest integer, accepted or not, that gives at least ``out``."""
        return -((self.offset - self.run * out) // self.rise)

    def last(self, out: int) -> int:
        """Return the largest integer, accepted or not, that gives at most ``out``."""
        return (self.run * out + self.run - 1 - self.offset) // self.rise

    @property
    def least(self) -> int:
        """The smallest input size: at least 1, with an output of at least 1."""
        return max(1, self.first(1))


def period_through(laws: "tuple[FloorLaw, ...]") -> tuple[int, int]:
    """Return (S, U), the smallest pair this rule gives with chain(n + S) = chain(n) + U for every n.

    >>> down = FloorLaw(1, 1, 2)
    >>> period_through((down, down))
    (4, 1)
    >>> period_through((down, FloorLaw(3, 0, 2)))
    (4, 3)
    """
    run, rise = 1, 1
    for law in laws:
        times = law.run // gcd(rise, law.run)
        run, rise = run * times, rise * times // law.run * law.rise
    return run, rise
