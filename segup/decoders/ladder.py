"""What one upsampling step does to a size, as ladders show it."""

from dataclasses import dataclass

from segup.upsamplers.contract import Upsampler


@dataclass(frozen=True)
class LadderStep:
    """One upsampling step on one axis: from ``low`` the operator reaches ``reached``, and the next map has ``wanted``.

    ``correction`` is the number of rows added (positive) or cut (negative) after the operator.
    """

    operator: str
    low: int
    reached: int
    wanted: int
    correction: int

    @classmethod
    def of(cls, up: Upsampler, low: int, wanted: int, place: str = "") -> "LadderStep":
        """Return the step of an operator; ShapeError where it does not reach the size."""
        reached = up.reach(low, wanted)
        return cls(f"{place}{up.label()}", low, reached, wanted, wanted - reached)
