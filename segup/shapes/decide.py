"""For which sizes a way back reaches the size that a way down was given: exact, for all sizes, one axis.

Every law adds ``rise`` to its output when ``run`` is added to its input, at every size. So a chain of laws has a pair
(S, U) with chain(n + S) = chain(n) + U, and everything that is said here about n is said about n plus a period as
well: it is enough to look at one period. And within it not even every size is looked at: those that the way down
brings to one size v are a range, the sizes that the way back reaches from v are ranges, and their common part holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import gcd, lcm

from segup.errors import ShapeError
from segup.shapes.chain import ChainAxis
from segup.shapes.law import FloorLaw, period_through
from segup.shapes.sets import SizeSet, clipped, joined

LONGEST_PERIOD = 10**6


@dataclass(frozen=True)
class Way:
    """A chain of laws, each with its slack: how many further sizes above its own the layer may be asked for."""

    layers: tuple[tuple[FloorLaw, int], ...]

    @cached_property
    def laws(self) -> tuple[FloorLaw, ...]:
        """The laws of the smallest sizes."""
        return tuple(law for law, _ in self.layers)

    @cached_property
    def least(self) -> int:
        """The smallest size that every layer accepts in its turn: from it on, nothing is cut off for being below 1."""
        return reduce(lambda needed, law: max(law.least, law.first(needed)), reversed(self.laws), 1)

    @property
    def first_reaching(self) -> int:
        """The smallest size from which anything is reached."""
        tops = ((FloorLaw(law.rise, law.offset + slack * law.run, law.run), 0) for law, slack in self.layers)
        return Way(tuple(tops)).least

    def out(self, size: int) -> int:
        """Return the smallest size at the end."""
        return reduce(lambda n, law: law.out(n), self.laws, size)

    def first(self, out: int) -> int:
        """Return the smallest integer that gives at least ``out``, accepted or not."""
        return reduce(lambda needed, law: law.first(needed), reversed(self.laws), out)

    def preimage(self, run: range) -> range:
        """Return the integers, accepted or not, that come to the sizes of ``run``."""
        return range(self.first(run.start), self.first(run.stop))

    def pull_back(self, sizes: SizeSet) -> SizeSet:
        """Return the accepted sizes that come to a member of ``sizes``."""
        run, rise = period_through(self.laws)
        period = run * (sizes.period // gcd(rise, sizes.period))
        start = max(self.least, self.first(sizes.start))

        def members(low: int, high: int) -> tuple[range, ...]:
            return clipped(map(self.preimage, sizes.between(self.out(low), self.out(high))), low, high)

        below = members(self.least, start - 1) if start > self.least else ()
        return SizeSet.of(start, period, members(start, start + period - 1), below, self.least)

    def reach(self, size: int) -> tuple[range, ...]:
        """Return the sizes that can be reached from ``size``."""
        runs: tuple[range, ...] = (range(size, size + 1),)
        for law, slack in self.layers:
            images = (image for run in runs for image in _images(law, slack, run))
            runs = joined(range(max(1, image.start), image.stop) for image in images)
        return runs


def way(axis: ChainAxis, matched: bool = False) -> Way:
    """Return the way through a chain; a ShapeError where a layer has no law.

    Where it is ``matched``, each transposed convolution may be asked for any size that it reaches.
    """
    return Way(tuple((link.matched_law, link.slack) if matched else (link.law, 0) for _, link in axis.links))


def _images(law: FloorLaw, slack: int, run: range) -> list[range]:
    """Return what ``law``, and up to ``slack`` more, makes of the sizes of ``run``."""
    if law.rise <= law.run * (slack + 1):
        return [range(law.out(run.start), law.out(run[-1]) + slack + 1)]
    return [range(law.out(size), law.out(size) + slack + 1) for size in run]


def meeting(down: Way, back: Way) -> tuple[SizeSet, int | None]:
    """Return the sizes n that ``down`` accepts and that ``back`` reaches from down(n), and the statement's period.

    The period is None where down and back differ in slope: then the two ends drift apart by a fixed step from period
    to period, each residue class can hold for finitely many sizes only, and these are solved for.
    """
    down_run, down_rise = period_through(down.laws)
    back_run, back_rise = period_through(back.laws)
    step = lcm(down_rise, back_run)
    if step > LONGEST_PERIOD:
        raise ShapeError(
            f"the way down and back repeats only after {step} sizes at the bottom; up to {LONGEST_PERIOD} are decided."
            f"\n  try: resize factors with smaller or common denominators."
        )
    down_step, back_step = step // down_rise * down_run, step // back_run * back_rise
    lowest = down.out(down.least)
    regular = max(back.least, lowest + (down.first(lowest) < down.least))
    early = range(max(lowest, back.first_reaching), regular)
    below = [part for v in early for part in clipped(_common(down, back, v), down.least, down.first(regular))]
    bottom = range(regular, regular + step)
    if down_step == back_step:
        runs = [part for v in bottom for part in _common(down, back, v)]
        return SizeSet.of(down.first(regular), down_step, runs, below, down.least), down_step
    drifting = [part for v in bottom for part in _before_drifting_apart(down, back, v, down_step, back_step)]
    return SizeSet.finite([*below, *drifting], down.least), None


def _common(down: Way, back: Way, v: int) -> tuple[range, ...]:
    """Return the sizes that come down to ``v`` and are reached from it."""
    came = down.preimage(range(v, v + 1))
    return clipped(back.reach(v), came.start, came.stop - 1) if came else ()


def _before_drifting_apart(down: Way, back: Way, v: int, down_step: int, back_step: int) -> list[range]:
    """Return the same for v, v + step, v + 2·step, … where what came moves by one step and what is reached by another.

    After q periods the ranges still overlap when low − top ≤ q·(back_step − down_step) ≤ high − bottom.
    """
    came, drift = down.preimage(range(v, v + 1)), back_step - down_step
    found = []
    for run in back.reach(v) if came else ():
        nearest, farthest = came.start - run[-1], came[-1] - run.start
        if drift < 0:
            nearest, farthest = -farthest, -nearest
        turns = range(max(0, -(-nearest // abs(drift))), farthest // abs(drift) + 1)
        if turns.stop - turns.start > LONGEST_PERIOD:
            raise ShapeError(
                f"the two ends drift apart by {abs(drift)} in {down_step} sizes, which leaves "
                f"{turns.stop - turns.start} stretches to look at; up to {LONGEST_PERIOD} are decided.\n"
                f"  try: smaller strides."
            )
        for q in turns:
            low = max(came.start + q * down_step, run.start + q * back_step)
            high = min(came[-1] + q * down_step, run[-1] + q * back_step)
            found.append(range(low, high + 1))
    return found


def meeting_at_every_stage(downs: Sequence[Way], backs: Sequence[Way]) -> tuple[SizeSet, int | None]:
    """Return the sizes for which every stage's way back reaches what the stage was given, from the deepest up.

    ``backs`` is in the order of use: its first undoes the last of ``downs``.
    """
    sizes, period, repeats = SizeSet.all_from(1), 1, True
    for down, back in zip(reversed(downs), backs, strict=True):
        here, here_period = meeting(down, back)
        sizes = here.intersection(down.pull_back(sizes))
        repeats = repeats and here_period is not None
        run, rise = period_through(down.laws)
        period = lcm(here_period or 1, run * (period // gcd(rise, period)))
    return sizes, period if repeats else None
