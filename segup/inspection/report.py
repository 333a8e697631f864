"""What was found about a model's sizes, in words and for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from segup.inspection.proof import RefusedPairs
from segup.inspection.record import in_words
from segup.shapes.axis_proof import AxisProof
from segup.shapes.sets import Runs, SizeSet, joined

_REASONS = 4


@dataclass(frozen=True)
class Failure:
    """A size for which the output does not have the input's size.

    Args:
        axis: "height" or "width"; "height and width" where the two are refused together.
        size: The input's size.
        out: The output's size; None where the model refuses the input, or brings the other axis to another size.
        layer: Qualified name of the layer that refused, or that gave the output its size; empty for the model's own
            code.
        message: What was raised, with its type; or what came instead.
    """

    axis: str
    size: int
    out: int | None
    layer: str
    message: str

    def __str__(self) -> str:
        return f"{self.axis} {self.size}: {in_words(self.layer)}: {self.message}"


@dataclass(frozen=True)
class AxisReport:
    """What was found about one axis.

    Args:
        axis: "height" or "width".
        sizes: The sizes that were run.
        failures: Those of them that failed, from the smallest on.
        accepted: Those of them that the model took, whatever came out.
        proof: For which of ALL sizes the output has the input's size; None where nothing is proved.
        reasons: Why nothing is proved.
        left: How many sizes were to be run, and were not, to save time.
    """

    axis: str
    sizes: tuple[int, ...]
    failures: tuple[Failure, ...]
    accepted: tuple[int, ...]
    proof: AxisProof | None
    reasons: tuple[str, ...]
    left: int = 0

    @property
    def always(self) -> bool:
        """Whether every size holds: all there are where it is proved, else all that were run."""
        return not self.failures and (self.proof is None or self.proof.sizes.first_missing(1) is None)

    def holds(self, size: int) -> bool | None:
        """Return whether the output has the input's size at ``size``; None where it was neither proved nor run."""
        if self.proof is not None:
            return size in self.proof.sizes
        if size not in self.sizes:
            return None
        return all(failure.size != size for failure in self.failures)

    @property
    def min_size(self) -> int | None:
        """The smallest size that the model takes; None where it took none of those run."""
        if self.proof is not None:
            return self.proof.min_size
        return min(self.accepted, default=None)


@dataclass(frozen=True)
class SizeReport:
    """For which input sizes a model's output has the input's size; ``str`` says it in words.

    Args:
        model: The model's class.
        in_channels: Channels of the input.
        other: Size of the axis that was not varied; None where no square was accepted.
        axes: What was found about height and width, each beside an axis at which they are not refused together.
        refused: Images that are refused for their height and width together, where the verdict is "proved": a norm
            needs more than one pixel, and the height or the width alone leaves it enough.
    """

    model: str
    in_channels: int
    other: int | None
    axes: tuple[AxisReport, AxisReport]
    refused: tuple[RefusedPairs, ...] = ()

    @property
    def verdict(self) -> Literal["proved", "checked"]:
        """Tell "proved" for all sizes, or "checked" for those that were run."""
        return "proved" if all(axis.proof is not None for axis in self.axes) else "checked"

    @property
    def proved(self) -> bool:
        """Whether the verdict is about all sizes."""
        return self.verdict == "proved"

    @property
    def always(self) -> bool:
        """Whether no size fails: of all there are where it is proved, else of those that were run."""
        return not self.refused and all(axis.always for axis in self.axes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes that were run, of either axis."""
        return tuple(sorted({size for axis in self.axes for size in axis.sizes}))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The sizes run that failed, height's first; then the smallest squares that are refused as such."""
        alone = [failure for axis in self.axes for failure in axis.failures]
        squares = [(pairs.heights.intersection(pairs.widths).at_least(1), pairs) for pairs in self.refused]
        together = [Failure("height and width", n, None, one.layer, one.message) for n, one in squares if n is not None]
        return (*alone, *together)

    @property
    def first_failure(self) -> Failure | None:
        """The failure at the smallest size."""
        return min(self.failures, key=lambda failure: failure.size, default=None)

    @property
    def period(self) -> int | None:
        """The sizes over which the statement repeats, the larger of the axes'; None where nothing is proved."""
        if not self.proved:
            return None
        return max(axis.proof.sizes.period for axis in self.axes if axis.proof is not None)

    @property
    def min_size(self) -> int | None:
        """The smallest height and width that the model takes; None where it took none."""
        least = [axis.min_size for axis in self.axes if axis.min_size is not None]
        if len(least) < len(self.axes):
            return None
        squares = (pairs.heights.intersection(pairs.widths) for pairs in self.refused)
        missing = [square.first_missing(max(least)) for square in squares]
        return None if None in missing else max([*least, *(size for size in missing if size is not None)])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why nothing is proved; empty where it is."""
        return tuple(dict.fromkeys(reason for axis in self.axes for reason in axis.reasons))

    def holds(self, size: int | tuple[int, int]) -> bool | None:
        """Return whether the output has the input's size at ``size``: either axis by itself, or (height, width).

        None where that was neither proved nor run: without a proof, a pair was run only where one of the two is
        :attr:`other`. Where height and width are refused together, a pair alone says so.
        """
        if not isinstance(size, int) and not self.proved and self.other not in size:
            return None
        sizes = (size, size) if isinstance(size, int) else size
        answers = [axis.holds(n) for axis, n in zip(self.axes, sizes, strict=True)]
        if not isinstance(size, int) and any(size in pairs for pairs in self.refused):
            return False
        if False in answers:
            return False
        return None if None in answers else True

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {
            "model": self.model,
            "in_channels": self.in_channels,
            "verdict": self.verdict,
            "always": self.always,
            "min_size": self.min_size,
            "period": self.period,
            "other": self.other,
            "first_failure": None if self.first_failure is None else asdict(self.first_failure),
            "reasons": list(self.reasons),
            "height": _axis_dict(self.axes[0]),
            "width": _axis_dict(self.axes[1]),
            "refused": [_pairs_dict(pairs) for pairs in self.refused],
            "words": str(self),
        }

    def __str__(self) -> str:
        height, width = self.axes
        alike = (height.sizes, height.proof, [f.size for f in height.failures]) == (
            (width.sizes, width.proof, [f.size for f in width.failures])
        )
        parts = [("height and width", height)] if alike else [("height", height), ("width", width)]
        lines = []
        for name, axis in parts:
            lines.append(f"{self.verdict}: {_statement(name, axis)}")
            if axis.failures:
                more = f" ({len(axis.failures)} of the {len(axis.sizes)} sizes run fail)"
                lines.append(f"  first failure: {axis.failures[0]}{more}")
        lines += [f"  {_exception(pairs)}" for pairs in self.refused]
        run = listed(height.sizes)
        if self.proved:
            lines.append(
                f"  Why this is proved: every call that changes a size is one that the calculus knows, no Python code "
                f"of the model branched on a size, and the model itself gave the same sizes.\n"
                f"  Run on shapes alone: {run}, the other axis at {self.other}."
            )
        else:
            lines.append(f"  Run: {run}" + (f", the other axis at {self.other}." if self.other else ", squares."))
            if left := max(axis.left for axis in self.axes):
                lines.append(
                    f"  {left} sizes more were left out to save time: name those that matter (sizes, --sizes)."
                )
            lines.append("  Nothing is said about other sizes:")
            lines += [f"    - {reason}" for reason in self.reasons[:_REASONS]]
            if len(self.reasons) > _REASONS:
                lines.append(f"    - and {len(self.reasons) - _REASONS} more reasons")
        return "\n".join(lines)


def _statement(name: str, axis: AxisReport) -> str:
    """Return for which sizes it holds, in words."""
    subject = "the output has the input's size"
    if axis.proof is None:
        if axis.always:
            return f"{subject} for every {name} that was run"
        held = [size for size in axis.sizes if axis.holds(size)]
        which = f": {listed(held)}" if held else ""
        return f"{subject} for {len(held)} of the {len(axis.sizes)} sizes of {name} that were run{which}"
    if axis.always:
        return f"{subject} for every {name}"
    proof = axis.proof
    if proof.never:
        return f"{subject} for no {name} at all"
    if not proof.sizes.runs:
        return f"{subject} for {name} {_spans(proof.exceptions)} alone"
    below = f", and below for {_spans(proof.exceptions)}" if proof.exceptions else ""
    if len(proof.sizes.runs[0]) == proof.sizes.period:
        return f"{subject} for every {name} from {proof.start} on{below}"
    residues = f"{name} mod {proof.sizes.period} in {_residues(proof)!r}"
    return f"{subject} exactly for {residues}, from {proof.start} on{below}"


def _exception(pairs: RefusedPairs) -> str:
    """Return which images are refused for both sizes together, in words."""
    said = f"{in_words(pairs.layer)}: {pairs.message}"
    if pairs.heights == pairs.widths:
        return f"but an image is refused whose height and width are both {_members(pairs.heights)}: {said}"
    return (
        f"but an image is refused whose height is {_members(pairs.heights)} and whose width is "
        f"{_members(pairs.widths)}: {said}"
    )


def _members(sizes: SizeSet) -> str:
    """Return the sizes of a set in words."""
    if not sizes.runs:
        few = _spans(Runs(sizes.below))
        return few if len(Runs(sizes.below)) == 1 else f"among {few}"
    first = Runs((*sizes.below, *sizes.runs))
    return f"among {_spans(first)}, and so on every {sizes.period}"


def _pairs_dict(pairs: RefusedPairs) -> dict[str, Any]:
    return {
        **{name: _set_dict(sizes) for name, sizes in (("heights", pairs.heights), ("widths", pairs.widths))},
        "layer": pairs.layer,
        "message": pairs.message,
    }


def _set_dict(sizes: SizeSet) -> dict[str, Any]:
    return {
        "period": sizes.period if sizes.runs else None,
        "start": sizes.start,
        "runs": [[run[0], run[-1]] for run in sizes.runs],
        "below": [[run[0], run[-1]] for run in sizes.below],
    }


def _residues(proof: AxisProof) -> Runs:
    return AxisProof(proof.sizes, proof.sizes.period, proof.min_size).residues


def listed(sizes: Sequence[int]) -> str:
    """Return sizes as few ranges.

    >>> listed([1, 2, 3, 7, 9, 10])
    '1 … 3, 7, 9 … 10'
    """
    return _spans(Runs(joined(range(size, size + 1) for size in sizes)))


def _spans(sizes: Runs) -> str:
    words = [f"{run[0]} … {run[-1]}" if len(run) > 1 else str(run[0]) for run in sizes.ranges]
    if len(words) > 8:
        return ", ".join([*words[:6], "…", words[-1]])
    return ", ".join(words) or "none"


def _axis_dict(axis: AxisReport) -> dict[str, Any]:
    proof = axis.proof
    return {
        "always": axis.always,
        "min_size": axis.min_size,
        "sizes_run": [[run[0], run[-1]] for run in joined(range(n, n + 1) for n in axis.sizes)],
        "failures": [asdict(failure) for failure in axis.failures],
        "proof": None
        if proof is None
        else {
            "period": proof.sizes.period,
            "start": proof.start,
            "residues": [[run[0], run[-1]] for run in _residues(proof).ranges],
            "exceptions": [[run[0], run[-1]] for run in proof.exceptions.ranges],
        },
        "reasons": list(axis.reasons),
    }
