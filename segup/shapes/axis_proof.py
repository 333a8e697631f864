"""The exact set of sizes of one axis for which a way up gives back every size of the way down."""

from dataclasses import dataclass

from segup.shapes.chain import Chain
from segup.shapes.decide import meeting_at_every_stage, way
from segup.shapes.sets import Runs, SizeSet, joined


@dataclass(frozen=True)
class AxisProof:
    """What is proved for one axis.

    Args:
        sizes: The exact set of sizes for which it holds.
        period: Sizes over which the statement repeats; None where only finitely many sizes can hold.
        min_size: The smallest size that the way down accepts.
    """

    sizes: SizeSet
    period: int | None
    min_size: int

    @property
    def counterexample(self) -> int | None:
        """The smallest accepted size for which it does not hold."""
        return self.sizes.first_missing(self.min_size)

    @property
    def always(self) -> bool:
        """Whether it holds for every accepted size."""
        return self.counterexample is None

    @property
    def never(self) -> bool:
        """Whether it holds for no size at all."""
        return not self.sizes.runs and not self.sizes.below

    @property
    def start(self) -> int:
        """The size from which on the residues decide; below it the exceptions do."""
        return max(self.sizes.start, self.min_size)

    @property
    def residues(self) -> Runs:
        """The residues modulo ``period`` of the sizes from ``start`` on that hold."""
        period = self.period or 1
        runs = self.sizes.between(self.start, self.start + period - 1) if self.period else ()
        cuts = ((run.start // period * period, run) for run in runs)
        parts = (part for base, run in cuts for part in _modulo(run, base, period))
        return Runs(joined(parts))

    @property
    def exceptions(self) -> Runs:
        """The sizes below ``start`` that hold."""
        return Runs(self.sizes.below)

    def nearest(self, size: int) -> tuple[int | None, int | None]:
        """Return the largest size up to ``size`` and the smallest from it on that hold; None where there is none."""
        return self.sizes.at_most(size), self.sizes.at_least(size)


def _modulo(run: range, base: int, period: int) -> tuple[range, range]:
    """Return the residues of a run that starts in base … base + period − 1 and is at most a period long."""
    end = base + period
    return range(run.start - base, min(run.stop, end) - base), range(max(0, run.stop - end))


def prove_axis(downs: list[Chain], ups: list[Chain], matched: bool, ends_only: bool, i: int) -> AxisProof:
    """Decide for all sizes of axis ``i``: stage by stage, or by the ends alone."""
    if ends_only:
        downs, ups = [Chain(downs)], [Chain(ups)]
    ways = [way(chain.axes[i]) for chain in downs]
    sizes, period = meeting_at_every_stage(ways, [way(chain.axes[i], matched) for chain in ups])
    return AxisProof(sizes, period, Chain(downs).axes[i].least)
