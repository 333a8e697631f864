"""The proof from runs: every size takes one of the paths through the model that were run, and the paths repeat."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm

from segup.inspection.periodic import LONGEST, PeriodicMap, PeriodTooLongError
from segup.inspection.record import SizeDecision, Together, in_words
from segup.inspection.trace import ModelRun, Refusal
from segup.inspection.traced import TracedSize, as_int, as_ints
from segup.shapes.arguments import AXIS_NAMES
from segup.shapes.axis_proof import AxisProof
from segup.shapes.sets import SizeSet


@dataclass(frozen=True)
class Question:
    """What is asked of a run that varies one axis.

    Args:
        axis: The axis that is varied.
        output: Key or place of the map that is looked at.
        beside: The map's size on the other axis, which has to stay as it is.
    """

    axis: int
    output: str
    beside: int

    @classmethod
    def about(cls, base: ModelRun, axis: int, output: str) -> "Question":
        """Return the question about the runs that differ from ``base`` on ``axis`` alone."""
        shape = base.outputs.get(output, base.size)
        return cls(axis, output, as_int(shape[-1 - axis]))

    def moved(self, run: ModelRun) -> Refusal | None:
        """Return what to say of a run whose map is gone, or has another size on the axis that is not varied."""
        shape = run.outputs.get(self.output, ())
        if len(shape) != 4:
            return Refusal("", f"the output has no map '{self.output}' (N, K, H, W): {as_ints(shape) or 'none'}")
        other = shape[-1 - self.axis]
        if as_int(other) == self.beside:
            return None
        layer = other.layer if type(other) is TracedSize else ""
        varied, fixed = AXIS_NAMES[self.axis], AXIS_NAMES[1 - self.axis]
        words = f"the output's {fixed} becomes {as_int(other)}, and is {self.beside} at another {varied}"
        return Refusal(layer, words)


@dataclass(frozen=True)
class Outcome:
    """What comes of one size on one axis: the output's size, or a refusal."""

    out: int | None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class CodePath:
    """The way that a run took through the model, as far as one axis decides it.

    Args:
        decisions: The comparisons in their order.
        out: The output's size as a function of the input's; None where the run ended in a refusal.
        refusal: Why it ended.
    """

    decisions: tuple[SizeDecision, ...]
    out: PeriodicMap | None
    refusal: Refusal | None

    def at(self, size: int) -> Outcome | None:
        """Return what comes of another ``size``, or None where it takes another way, which is not known."""
        if any(decision.at(size) != decision.outcome for decision in self.decisions):
            return None
        return Outcome(None, self.refusal) if self.out is None else Outcome(self.out(size))

    @property
    def functions(self) -> list[PeriodicMap]:
        """What has to settle before the way repeats: each comparison, and the output against the input."""
        ends = [] if self.out is None else [self.out.minus(PeriodicMap.identity())]
        return [*(decision.function for decision in self.decisions), *ends]


@dataclass(frozen=True)
class TraceProof:
    """What a set of runs proves about one axis.

    Args:
        found: The sizes for which the output has the input's size, with their period; None where nothing is proved.
        missing: Sizes that take a way that was not run.
        reasons: Why nothing is proved.
        paths: The paths that were run, each with the smallest size that takes it.
        settled: The size from which on everything repeats.
    """

    found: AxisProof | None
    missing: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    paths: Mapping[CodePath, int] = field(default_factory=dict)
    settled: int = 1

    def outcome(self, size: int) -> Outcome | None:
        """Return what comes of a size, whether it was run or not."""
        return _known(self.paths, size)


@dataclass(frozen=True)
class RefusedPairs:
    """Images that a model refuses for their height and width together, and for neither alone.

    Args:
        heights, widths: Every one of these heights is refused with every one of these widths.
        layer: Qualified name of the layer that refuses; empty for the model's own code.
        message: Why.
    """

    heights: SizeSet
    widths: SizeSet
    layer: str
    message: str

    @classmethod
    def of(cls, condition: Together) -> "RefusedPairs | None":
        """Return what a condition refuses; None where that is nothing.

        Raises:
            PeriodTooLongError: It repeats after too many sizes.
        """
        heights, widths = map(_sizes_of_one, condition.functions)
        if heights.at_least(1) is None or widths.at_least(1) is None:
            return None
        return cls(heights, widths, condition.layer, condition.message)

    def __contains__(self, size: object) -> bool:
        return isinstance(size, tuple) and size[0] in self.heights and size[1] in self.widths

    def covers(self, other: "RefusedPairs") -> bool:
        """Return whether it refuses all that another one refuses."""
        pairs = ((self.heights, other.heights), (self.widths, other.widths))
        return all(one.intersection(two) == two for one, two in pairs)

    def corners(self) -> tuple[tuple[int, int], ...]:
        """Return pairs of the smallest and of large sizes among them."""
        ends = []
        for sizes in (self.heights, self.widths):
            low = sizes.at_least(1) or 1
            ends.append((low, sizes.at_most(sizes.start + sizes.period) or low))
        return tuple((height, width) for height in ends[0] for width in ends[1])


def _sizes_of_one(function: PeriodicMap) -> SizeSet:
    """Return the sizes at which a function is 1."""
    beyond = function.minus(PeriodicMap.constant(1))
    start, period = max(1, beyond.repeats_from()), function.period
    if start + period > LONGEST:
        raise PeriodTooLongError(f"repeats only after {period} sizes")
    ones = [range(size, size + 1) for size in range(1, start + period) if beyond(size) == 0]
    return SizeSet.of(
        start, period, [one for one in ones if one.start >= start], [one for one in ones if one.start < start]
    )


def refused_pairs(
    runs: Sequence[Mapping[int, ModelRun]], base: ModelRun, trace: Callable[[tuple[int, int]], ModelRun]
) -> tuple[tuple[RefusedPairs, ...], str]:
    """Return the pairs that are refused for both sizes together, or why they are not known.

    The runs that vary one axis meet no such refusal: on the other axis is the base, at which it cannot come. So every
    run has to state the same conditions, and runs at pairs that they refuse have to be refused.

    Args:
        runs: Of height and width, by the size that is varied.
        base: The run on the square from which they vary.
        trace: Runs the model on shapes alone.
    """
    stated = list(base.record.together)
    accepted = [run for one in runs for run in one.values() if run.refusal is None]
    unlike = [one for run in accepted for one in {*run.record.together} ^ {*stated}]
    on_the_way = [one for one in stated if 1 in (one.functions[i](base.size[i]) for i in (0, 1))]
    for condition in (*unlike, *on_the_way):
        where = in_words(condition.layer)
        return (), f"{condition.message}, on which height and width decide together, in {where}"
    try:
        found = list(filter(None, map(RefusedPairs.of, stated)))
    except PeriodTooLongError as cause:
        return (), f"what height and width decide together {cause}"
    widest: list[RefusedPairs] = []
    for pairs in found:
        if not any(other.covers(pairs) for other in widest):
            widest = [*(other for other in widest if not pairs.covers(other)), pairs]
    for pairs in found:
        for size in pairs.corners():
            run = trace(size)
            if run.refusal is None or run.record.unfollowed:
                return (), f"{pairs.message}, in {in_words(pairs.layer)}, and {size[0]}×{size[1]} is taken all the same"
    return tuple(widest), ""


def path_of(run: ModelRun, question: Question) -> CodePath | None:
    """Return the way of a run, or None where the output's size was not followed on the axis that is varied."""
    axis = question.axis
    decisions = tuple(decision for decision in run.record.decisions if decision.axis == axis)
    refusal = run.refusal or question.moved(run)
    if refusal is not None:
        return CodePath(decisions, None, refusal)
    dim, beside = run.outputs[question.output][axis - 2], run.outputs[question.output][-1 - axis]
    if type(beside) is TracedSize and (beside.extent is None or any(i == axis for i, _ in beside.extent.factors)):
        return None
    if type(dim) is not TracedSize:
        return CodePath(decisions, PeriodicMap.constant(as_int(dim)), None)
    single = dim.extent.single() if dim.extent is not None else None
    if single is None or single[0] != axis:
        return None
    return CodePath(decisions, single[1], None)


def image_size(axis: int, size: int, beside: int) -> tuple[int, int]:
    """Return the size of an image that is varied along one axis."""
    return (size, beside) if axis == 0 else (beside, size)


def outcome_of(run: ModelRun, question: Question) -> Outcome:
    """Return what came of a run."""
    refusal = run.refusal or question.moved(run)
    return Outcome(None, refusal) if refusal else Outcome(as_int(run.outputs[question.output][question.axis - 2]))


def prove(runs: Mapping[int, ModelRun], question: Question) -> TraceProof:
    """Decide from runs, by their size on the axis that is varied, for which sizes the output has the input's size.

    Every way is a list of comparisons of functions with 0, which repeat with a period from some size on. So where all
    sizes of one period beyond that are known to take a way that was run, all sizes are decided.
    """
    reasons = dict.fromkeys(reason for run in runs.values() for reason in run.record.unfollowed)
    if reasons:
        return TraceProof(None, reasons=tuple(reasons))
    accepted_runs = [run for run in runs.values() if run.refusal is None]
    beside = {tuple(d for d in run.record.decisions if d.axis != question.axis) for run in accepted_runs}
    if len(beside) > 1 and any(any(run.record.fork) for run in accepted_runs):
        return TraceProof(None, reasons=("the way that the code takes at a size of one axis depends on the other",))
    paths = {size: path_of(run, question) for size, run in runs.items()}
    first: dict[tuple[SizeDecision, ...], tuple[CodePath, int]] = {}
    for size, way in sorted(paths.items()):
        if way is not None:
            first.setdefault(way.decisions, (way, size))
    known = dict(first.values())
    if None in paths.values():
        return TraceProof(None, reasons=("the size of the output does not follow from the input's by the calculus",))
    functions = [function for way in known for function in way.functions]
    start, period = max([1, *(one.repeats_from() for one in functions)]), lcm(*(one.period for one in functions))
    if start + period > LONGEST:
        return TraceProof(None, reasons=(f"the statement repeats only after {period} sizes",))
    sizes = range(1, start + period)
    found = {n: outcome_of(runs[n], question) if n in runs else _known(known, n) for n in sizes}
    outcomes = {size: outcome for size, outcome in found.items() if outcome is not None}
    missing = [size for size in sizes if size not in outcomes]
    for size, run in runs.items():
        said = {outcome.out for way in [*known][:8] if (outcome := way.at(size)) is not None}
        if said - {outcome_of(run, question).out}:
            return TraceProof(None, reasons=(f"at {size} a run differs from what was computed from the others",))
    if missing:
        return TraceProof(None, tuple(missing), (f"size {missing[0]} takes a way through the code that was not run",))
    holding = [range(size, size + 1) for size, outcome in outcomes.items() if outcome.out == size]
    accepted = [size for size, outcome in outcomes.items() if outcome.out is not None]
    below, pattern = [run for run in holding if run.start < start], [run for run in holding if run.start >= start]
    held = AxisProof(SizeSet.of(start, period, pattern, below), period, min(accepted, default=1))
    return TraceProof(held, paths=known, settled=start + period)


def _known(paths: Iterable[CodePath], size: int) -> Outcome | None:
    return next((outcome for way in paths if (outcome := way.at(size)) is not None), None)
