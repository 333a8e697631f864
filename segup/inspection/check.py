"""For which input sizes a model's output has the input's size: proved for all of them, or checked for those run."""

from collections.abc import Iterable, Sequence
from math import lcm
from typing import Any

from torch import nn

from segup.errors import ConfigError, ShapeError, unknown
from segup.inspection.cover import Outcome, Proof, Question, outcome_of, prove
from segup.inspection.report import AxisReport, Failure, SizeReport
from segup.inspection.sketch import sketch
from segup.inspection.trace import Run, Tracer
from segup.inspection.traced import TracedSize, plain
from segup.shapes.arguments import AXIS_NAMES, whole

_OTHERS = (64, 96, 128, 224, 256, 160, 192, 320, 384, 448, 512, 518, 640, 768, 1024)
_MOST = 512  # sizes that are run of each axis by default
_MOST_MISSING = 2048


def check_sizes(
    model: nn.Module,
    in_channels: int | None = None,
    sizes: Iterable[int] | None = None,
    *,
    other: int | None = None,
    output: str | None = None,
    training: bool = False,
) -> SizeReport:
    """Find for which input sizes the output of ``model`` has the input's size.

    A copy of the model without weights is run on shapes alone: no pixel is computed, no memory is taken, and the
    model, its weights, buffers, training flags and the random generators stay as they were. One axis is varied at a
    time. Every size is followed through the model as a function of the input's size.

    The verdict is **proved**, for all sizes, when every call that changes a size is one that the calculus knows and
    nothing in the model's Python code branched on a size (torch's own code, and the corrections of segup's own
    upsamplers, count as known: every way through them is run). Otherwise it is **checked**, for the sizes run, with
    the reasons.

    Args:
        model: Any module that maps ``(N, in_channels, H, W)`` to ``(N, K, H, W)``, or to a dict or list with such a
            map in it.
        in_channels: Channels of the input; by default those of the model's first convolution.
        sizes: The sizes to run of each axis, in pixels; by default all up to a few periods of the model, at least 32
            for a proof and 128 without one. Where a proof takes others besides, these are run too.
        other: The size of the axis that is not varied; by default the first accepted one of 64, 96, 128, 224, ...
        output: Key or place of the map, where the output is a dict or a list; by default "out", or else the first map.
        training: Run the copy in training mode with a batch of one, where BatchNorm refuses maps of one pixel. By
            default it runs in evaluation mode, whatever mode the model is in.

    Raises:
        ConfigError: The model cannot be copied, reads values of tensors to choose its sizes, or gives no map.
        ShapeError: A size or channel count is not an int of at least 1.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 2, 4, stride=2, padding=1))
    >>> report = check_sizes(model)
    >>> report.verdict, report.always, report.period, report.first_failure.size, report.holds(10**6)
    ('proved', False, 2, 1, True)
    >>> check_sizes(nn.Conv2d(3, 8, 3, padding=1)).always
    True
    """
    channels = _channels_of(model) if in_channels is None else whole(in_channels, "in_channels", 1)
    asked = None if sizes is None else _sorted_sizes(sizes)
    tracer = Tracer(sketch(model).train(training), channels)
    middle = _middle(tracer, asked, None if other is None else whole(other, "other", 1))
    if middle is None:
        return _nowhere(tracer, model, channels, asked or list(range(1, 129)), output, other)
    name = _output_of(middle, output)
    axes = [_study(tracer, axis, middle, name, asked) for axis in (0, 1)]
    return SizeReport(_title(model), channels, middle.size[0], (axes[0], axes[1]))


def _study(tracer: Tracer, axis: int, middle: Run, output: str, asked: Sequence[int] | None) -> AxisReport:
    """Vary one axis, prove what can be proved, and report."""
    base = middle.size[0]
    runs = {base: tracer.run(middle.size, light=False)}
    question = Question.about(runs[base], axis, output)

    def run(sizes: Iterable[int]) -> None:
        for size in sizes:
            if size not in runs:
                runs[size] = tracer.run(_varied(axis, size, base))

    period = _period(runs[base], axis)
    run(asked if asked is not None else range(1, min(_MOST, max(2 * period, 32)) + 1))
    proof = prove(runs, question)
    while proof.missing and len(runs) < _MOST_MISSING:
        run(proof.missing)
        proof = prove(runs, question)
    misled = _misled(tracer, runs, question)
    if misled is not None:
        again = dict.fromkeys([*runs, *(range(1, 129) if asked is None else ())])
        runs = {size: tracer.run(_varied(axis, size, base), follow=False) for size in again}
        question = Question.about(runs[base], axis, output)
        proof = Proof(None, reasons=(misled,))
    if asked is None and proof.found is None and misled is None:
        run(range(1, min(_MOST, max(4 * period, 128)) + 1))
    if proof.found is not None:
        first = proof.found.sizes.first_missing(1)
        run([] if first is None else [first])  # for its layer and message
    shown = sorted(runs) if asked is None else sorted({*asked, *(n for n in runs if n not in asked and n != base)})
    failures = [_failure(runs[size], question, size) for size in shown]
    found = [failure for failure in failures if failure is not None]
    accepted = [size for size in shown if runs[size].refusal is None]
    return AxisReport(AXIS_NAMES[axis], tuple(shown), tuple(found), tuple(accepted), proof.found, proof.reasons)


def _varied(axis: int, size: int, base: int) -> tuple[int, int]:
    return (size, base) if axis == 0 else (base, size)


def _misled(tracer: Tracer, runs: dict[int, Run], question: Question) -> str | None:
    """Run a few sizes once more on plain ints and return how that differs, or None where it does not.

    Code may ask for the type of a size: what it does then is not what it does for its users.
    """
    base = next(iter(runs))
    refused = [size for size, run in runs.items() if run.refusal is not None]
    accepted = [size for size, run in runs.items() if run.refusal is None]
    for size in {min(refused, default=base), max(refused, default=base), min(accepted), max(accepted), base}:
        plainly = tracer.run(_varied(question.axis, size, base), light=False, follow=False)
        if outcome_of(plainly, question).out != outcome_of(runs[size], question).out:
            return f"its code treats sizes that are followed unlike plain ints, as at {size}"
    return None


def _failure(run: Run, question: Question, size: int) -> Failure | None:
    outcome: Outcome = outcome_of(run, question)
    name = AXIS_NAMES[question.axis]
    if outcome.refusal is not None:
        return Failure(name, size, None, outcome.refusal.layer, outcome.refusal.message)
    if outcome.out == size:
        return None
    dim = run.outputs[question.output][question.axis - 2]
    layer = dim.layer if type(dim) is TracedSize else ""
    return Failure(name, size, outcome.out, layer, f"the output has {outcome.out}, the input {size}")


def _middle(tracer: Tracer, asked: Sequence[int] | None, other: int | None) -> Run | None:
    """Return a run on a square that the model accepts, preferably one whose output has its size."""
    squares = [other] if other is not None else [*_OTHERS, *(asked or range(1, 257))]
    accepted: Run | None = None
    for place, size in enumerate(squares):
        run = tracer.run((size, size))
        if run.refusal is None:
            if any(_ends_alike(shape, size) for shape in run.outputs.values()):
                return run
            accepted = accepted or run
        if accepted is not None and place >= len(_OTHERS) - 1:
            break
    return accepted


def _ends_alike(shape: Sequence[Any], size: int) -> bool:
    return len(shape) == 4 and shape[-2] == size and shape[-1] == size


def _nowhere(
    tracer: Tracer, model: nn.Module, channels: int, sizes: Sequence[int], output: str | None, other: int | None
) -> SizeReport:
    """Return the report about a model that refused the square from which one axis could have been varied."""
    failures, accepted = [], []
    for size in sizes:
        run = tracer.run((size, size))
        if run.refusal is not None:
            failures.append(Failure("size", size, None, run.refusal.layer, run.refusal.message))
            continue
        accepted.append(size)
        height, width = map(plain, run.outputs[_output_of(run, output)][-2:])
        if (height, width) != (size, size):
            words = f"the output has {height}×{width}, the input {size}×{size}"
            failures.append(Failure("size", size, height if height != size else width, "", words))
    square = "no square image was" if other is None else f"no image of {other}×{other} is"
    reason = (f"{square} accepted, so no axis could be varied by itself",)
    axes = [AxisReport(name, tuple(sizes), tuple(failures), tuple(accepted), None, reason) for name in AXIS_NAMES]
    return SizeReport(_title(model), channels, None, (axes[0], axes[1]))


def _period(run: Run, axis: int) -> int:
    """Return the sizes over which the maps that were seen repeat."""
    period = 1
    for line in run.record.lines[axis]:
        period = min(_MOST, lcm(period, line.period))
    return period


def _output_of(run: Run, output: str | None) -> str:
    maps = {name: shape for name, shape in run.outputs.items() if len(shape) == 4}
    if output is not None and output not in maps:
        raise ConfigError(unknown("output", output, maps))
    if not maps:
        shapes = ", ".join(str(tuple(shape)) for shape in run.outputs.values()) or "no tensor"
        raise ConfigError(f"the model gives no map (N, K, H, W): {shapes}")
    return output or ("out" if "out" in maps else next(iter(maps)))


def _channels_of(model: nn.Module) -> int:
    first = next((part for part in model.modules() if isinstance(part, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def _sorted_sizes(sizes: Iterable[int]) -> list[int]:
    chosen = sorted({whole(size, "sizes", 1) for size in sizes})
    if not chosen:
        raise ShapeError("sizes must hold at least one size.\n  try: sizes=range(1, 129).")
    return chosen


def _title(model: nn.Module) -> str:
    return type(model).__name__
