"""What a run is seen to do with sizes: the comparisons it makes, and where sizes are lost."""

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any

from segup.inspection.periodic import Extent, PeriodicMap

RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
"""The comparisons of sizes."""


@dataclass(frozen=True)
class SizeDecision:
    """One comparison of a size, by which a run went one way and not the other.

    Args:
        axis: The axis of the input on which it depends.
        function: What was compared with 0, as a function of the input's size.
        relation: The comparison.
        outcome: What it gave in this run.
        required: Whether the other outcome is a refusal.
        layer: The layer in which it was met.
        message: What is wrong where it does not hold; empty unless required.
    """

    axis: int
    function: PeriodicMap
    relation: str
    outcome: bool
    required: bool
    layer: str
    message: str = field(compare=False, default="")

    def at(self, size: int) -> bool:
        """Return the outcome at another size of the input."""
        return bool(RELATIONS[self.relation](self.function(size), 0))

    @property
    def repeats_from(self) -> int:
        """The size from which on the outcome repeats with the function's period."""
        return self.function.repeats_from()

    @property
    def fixed(self) -> bool:
        """Whether the outcome is the same at every size from 1 on."""
        return len(_outcomes(self.function, self.relation)) == 1


@dataclass(frozen=True)
class Together:
    """A condition on height and width at once: torch refuses images at which both functions are 1.

    Args:
        functions: Of the input's height and of its width.
        layer: The layer in which it was met.
        message: What is wrong there.
    """

    functions: tuple[PeriodicMap, PeriodicMap]
    layer: str
    message: str


@lru_cache(4096)
def _outcomes(function: PeriodicMap, relation: str) -> frozenset[bool]:
    """Return the outcomes that a comparison with 0 has for sizes from 1 on."""
    decision = SizeDecision(0, function, relation, True, False, "")
    return frozenset(decision.at(size) for size in range(1, function.repeats_from() + function.period + 1))


@dataclass(eq=False)
class Record:
    """What one run was seen to do with the sizes.

    Args:
        decisions: The comparisons in their order, those that always come out alike left out.
        together: The conditions on height and width at once.
        unfollowed: Why nothing can be proved from this run, in words; empty where everything was followed.
        functions: Every function of the input's size that some map had, for either axis.
        values_needed: Why the run cannot be done without the values of tensors, in words; empty where it can.
        size: The input's (height, width).
        squeezed: Whether a dimension was dropped for being 1 at this size.
        explained: The last error of torch's that follows from comparisons of sizes that were noted.
        shapes: Of every tensor.
        layer: Tells the qualified name of the layer that is at work; empty for the model's own code.
    """

    decisions: list[SizeDecision] = field(default_factory=list)
    together: dict[Together, None] = field(default_factory=dict)
    unfollowed: dict[str, None] = field(default_factory=dict)
    functions: tuple[set[PeriodicMap], set[PeriodicMap]] = field(default_factory=lambda: (set(), set()))
    size: tuple[int, int] = (0, 0)
    layer: Callable[[], str] = field(default=lambda: "")
    values_needed: str = ""
    squeezed: bool = False
    explained: Exception | None = field(default=None, repr=False)
    shapes: list[tuple[Any, ...]] = field(default_factory=list, repr=False)
    _doubts: dict[tuple[Any, int] | None, dict[int, str]] = field(default_factory=dict, repr=False)

    @property
    def fork(self) -> tuple[bool, frozenset[PeriodicMap]]:
        """Where the code may have gone on unlike at most sizes: a dimension dropped, and refusals that it caught."""
        caught = (one.function for one in self.decisions if one.required and not one.outcome)
        return self.squeezed, frozenset(caught)

    @property
    def where(self) -> str:
        """The layer that is at work, in words."""
        return in_words(self.layer())

    def most_values(self, size: tuple[int, int]) -> int:
        """Return how many values the largest tensor has at another input; an estimate where sizes were lost.

        Attention of all pixels with all has as many as the square of the image.
        """
        growth = max(1, -(-size[0] * size[1] // (self.size[0] * self.size[1])))

        def at(dim: Any) -> int:
            extent: Extent | None = getattr(dim, "extent", None)
            return (
                int(dim)
                if isinstance(dim, int) and type(dim) is int
                else extent.at(size)
                if extent
                else dim.value * growth
            )

        most = max((prod(map(at, shape)) for shape in self.shapes), default=0)
        return most * growth**2 if self.unfollowed else most

    def lose(self, reason: str) -> None:
        """Note why nothing can be proved from this run."""
        self.unfollowed.setdefault(reason)

    def doubt(self, call: tuple[Any, int] | None, size: Any, reason: str) -> None:
        """Note that ``size`` was read as a plain number in a call, a frame and its instruction.

        Torch reads its arguments so before it hands them on: :meth:`trust` takes the doubt back.
        """
        self._doubts.setdefault(call, {}).setdefault(id(size), reason)
        if call is not None and sys.gettrace() is _step:
            call[0].f_trace, call[0].f_trace_opcodes = self._lose_read_in_last_instruction, True

    def trust(self, call: tuple[Any, int], arguments: Iterable[Any]) -> None:
        """Note that those read in ``call`` that are ``arguments`` were read by a torch function that is followed."""
        doubts = self._doubts.get(call)
        if doubts:
            for argument in arguments:
                doubts.pop(id(argument), None)

    def _lose_read_in_last_instruction(self, frame: Any, event: str, _: Any) -> None:
        """Take a frame's doubts as losses when its next instruction begins: a loop comes back to the same one."""
        if event == "opcode":
            for call in [call for call in self._doubts if call is not None and call[0] is frame]:
                self._lose_all(call)
            frame.f_trace_opcodes = False

    def close(self) -> None:
        """Take the doubts that are left as losses: the run is over."""
        for call in list(self._doubts):
            self._lose_all(call)

    def _lose_all(self, call: tuple[Any, int] | None) -> None:
        for reason in self._doubts.pop(call).values():
            self.lose(reason)

    def decide(
        self, axis: int, function: PeriodicMap, relation: str, outcome: bool, message: str = "", required: bool = False
    ) -> SizeDecision:
        """Return the decision that compares ``function`` with 0, noted unless its outcome is the same at every size."""
        decision = SizeDecision(axis, function, relation, outcome, required, self.layer(), message)
        if not decision.fixed:
            self.decisions.append(decision)
        return decision


@contextmanager
def step_by_step() -> Iterator[None]:
    """Take doubts as losses at each instruction, where no debugger is at work."""
    before = sys.gettrace()
    if before is None:
        sys.settrace(_step)
    try:
        yield
    finally:
        sys.settrace(before)


def _step(frame: Any, event: str, _: Any) -> None:
    """Let frames be traced; each that matters has a function of its own."""


def in_words(layer: str) -> str:
    """Return a layer's qualified name, empty for the model's own code, as messages show it."""
    return f"layer '{layer}'" if layer else "the model's own forward"
