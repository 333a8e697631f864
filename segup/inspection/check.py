"""For which input sizes a model's output has the input's size: proved for all of them, or checked for those run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from time import thread_time

from torch import nn

from segup.calls import annotated
from segup.errors import ConfigError, ShapeError, unknown
from segup.inspection.copies import as_by_default, preserved_buffers
from segup.inspection.proof import (
    Outcome,
    Question,
    RefusedPairs,
    TraceProof,
    image_size,
    outcome_of,
    prove,
    refused_pairs,
)
from segup.inspection.real_model import Subject
from segup.inspection.report import AxisReport, Failure, SizeReport
from segup.inspection.spread import spread
from segup.inspection.trace import ModelRun
from segup.inspection.traced import TracedSize, as_int
from segup.inspection.verify import Verifier
from segup.shapes.arguments import AXIS_NAMES, whole

_OTHERS = (64, 96, 128, 224, 256, 160, 192, 320, 384, 448, 512, 518, 640, 768, 1024)
_MOST = 512  # sizes that are run of each axis by default
_FIRST = 128  # sizes that are run before larger ones
_MOST_MISSING = 2048
_PATIENCE = 20.0  # seconds for real runs where nothing is proved and no sizes were asked for
_ALIKE = 3  # sizes at which a model has to fail by a mistake of its own before it is believed to fail at all
_OWN_ERRORS = (
    *("TypeError", "AttributeError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError"),
    *("NotImplementedError", "KeyError", "SyntaxError", "RecursionError"),
)


@annotated
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

    A copy of the model without weights is run on shapes alone, one axis varied at a time, and every size is followed
    through it as a function of the input's size. A second copy, with its weights, is run on images as it is. The
    model, its weights, buffers, training flags and the random generators stay as they were.

    The verdict is **proved**, for all sizes, when every call that changes a size is one that the calculus knows,
    nothing else in the model's code learns a size (torch's own code, and the corrections of segup's own upsamplers,
    count as known: every way through them is run), and the model itself agrees at sizes of every kind and beyond every
    threshold, as far as that stays below 2²² pixels and ten seconds. Otherwise it is **checked**, for the sizes that
    the model itself was run at, with the reasons. A proof is about height and width by themselves; where a norm needs
    two pixels the two are refused together, and the report names these images (``SizeReport.refused``).

    Args:
        model: Any module that maps ``(N, in_channels, H, W)`` to ``(N, K, H, W)``, or to a dict or list with such a
            map in it.
        in_channels: Channels of the input; by default those of the model's first convolution.
        sizes: The sizes to run of each axis, in pixels; by default all up to the model's period, at least 32 for a
            proof and 128 without one. Where a proof takes others besides, these are run too.
        other: The size of the axis that is not varied; by default the first accepted one of 64, 96, 128, 224, ...
        output: Key or place of the map, where the output is a dict or a list; by default "out", or else the first map.
        training: Run the copy in training mode with a batch of one, where BatchNorm refuses maps of one pixel. By
            default it runs in evaluation mode, whatever mode the model is in.

    Raises:
        ConfigError: The model cannot be copied, is one of volumes or sequences, or gives no map.
        ShapeError: A size or channel count is not an int of at least 1.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 2, 4, stride=2, padding=1))
    >>> report = check_sizes(model)
    >>> report.verdict, report.always, report.period, report.first_failure.size, report.holds(10**6)
    ('proved', False, 2, 1, True)
    >>> check_sizes(nn.Conv2d(3, 8, 3, padding=1)).always
    True
    """
    return look_through(model, in_channels, sizes, other=other, output=output, training=training).report


@dataclass(frozen=True)
class Findings:
    """What :func:`check_sizes` found, and from what.

    Args:
        report: Its report.
        subject: The model as it was looked at.
        output: Key or place of the map that was looked at.
        runs: Of height and width, the runs on shapes alone, by the size that was varied; none where no square image
            was accepted.
        proofs: What is proved from them.
    """

    report: SizeReport
    subject: Subject
    output: str = ""
    runs: tuple[dict[int, ModelRun], ...] = ()
    proofs: tuple[TraceProof, ...] = ()


@as_by_default()
def look_through(
    model: nn.Module,
    in_channels: int | None = None,
    sizes: Iterable[int] | None = None,
    *,
    other: int | None = None,
    output: str | None = None,
    training: bool = False,
    calls: bool = False,
    patience: float = _PATIENCE,
) -> Findings:
    """Return what :func:`check_sizes` finds, with the runs, which keep their calls where these are asked for.

    Where nothing is proved and no sizes are asked for, the real runs of both axes take ``patience`` seconds.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(f"check_sizes takes a torch module, not {type(model).__name__}.\n  try: a torch.nn.Module.")
    channels = _channels_of(model) if in_channels is None else whole(in_channels, "in_channels", 1)
    asked = None if sizes is None else _sorted_sizes(sizes)
    _check_kind(model)
    squares = [whole(other, "other", 1)] if other is not None else [*_OTHERS, *(asked or range(1, 257))]
    with preserved_buffers(model):
        subject = Subject(model, channels, training, calls)
        base, refused = _base(subject, squares)
        if base is None:
            title = type(model).__name__
            return Findings(_nowhere(subject, title, asked or sorted(refused), refused, output, other), subject)
        name = _output_of(base, output)
        traced = subject.traced(base.size, watch=True)
        questions = [Question.about(base, axis, name) for axis in (0, 1)]
        found = [_proved(subject, question, traced, asked) for question in questions]
        proofs = [proof for _, proof in found]
        pairs: tuple[RefusedPairs, ...] = ()
        reason = ""
        if any(proof.found is not None for proof in proofs):
            pairs, reason = refused_pairs([runs for runs, _ in found], traced, subject.traced)
        if reason:
            proofs = [TraceProof(None, reasons=(reason,)) for _ in proofs]
        proofs = Verifier(subject.real, traced, proofs, questions, pairs).verified()
        axes = [
            _report(subject, question, base, runs, proof, asked, patience / len(found))
            for question, (runs, _), proof in zip(questions, found, proofs, strict=True)
        ]
    pairs = pairs if all(proof.found is not None for proof in proofs) else ()
    report = SizeReport(type(model).__name__, channels, base.size[0], (axes[0], axes[1]), pairs)
    return Findings(report, subject, name, tuple(runs for runs, _ in found), tuple(proofs))


def _proved(
    subject: Subject, question: Question, base: ModelRun, asked: Sequence[int] | None
) -> tuple[dict[int, ModelRun], TraceProof]:
    """Vary one axis on shapes alone; return the runs and what they prove."""
    runs = {base.size[0]: base}

    def run(sizes: Iterable[int]) -> None:
        for size in sizes:
            if size not in runs:
                runs[size] = subject.traced(image_size(question.axis, size, base.size[0]))

    if base.refusal is not None:
        return runs, TraceProof(None, reasons=tuple(base.record.unfollowed) or ("its code cannot be traced",))
    if not base.record.unfollowed:
        run(asked if asked is not None else range(1, min(_MOST, max(_period(base, question.axis), 32)) + 1))
    proof = prove(runs, question)
    while proof.missing and len(runs) < _MOST_MISSING:
        run(proof.missing[:: max(1, len(proof.missing) // 4)])
        proof = prove(runs, question)
    taken = {one.record.fork: one for one in runs.values() if one.refusal is None} if proof.found is not None else {}
    for one in taken.values() if len(taken) > 1 else ():  # code that the base did not run may learn sizes unseen
        hidden = subject.traced(one.size, watch=True).record.unfollowed
        proof = TraceProof(None, reasons=tuple(hidden)) if hidden else proof
    first = None if proof.found is None else proof.found.sizes.first_missing(1)
    run([] if first is None else [first])  # for its layer and message
    return runs, proof


def _report(
    subject: Subject,
    question: Question,
    base: ModelRun,
    traced: Mapping[int, ModelRun],
    proof: TraceProof,
    asked: Sequence[int] | None,
    patience: float,
) -> AxisReport:
    """Report what is proved of one axis; where nothing is, what the model itself does."""
    name, place = AXIS_NAMES[question.axis], base.size[0]
    own = {size: subject.real_run(run.size) for size, run in traced.items() if proof.found and run.refusal is not None}
    taken = [size for size, run in own.items() if run.refusal is None]
    if taken:
        proof = TraceProof(None, reasons=(f"the model itself takes {name} {taken[0]}, which it refuses by its trace",))
    left = 0
    if proof.found is not None:
        runs = {**traced, **own}  # the model's own words where it refuses
    else:
        most = min(_MOST, max(4 * _period(traced[place], question.axis), _FIRST))
        runs, started = {place: base}, thread_time()
        for size in asked if asked is not None else (*spread(_FIRST), *range(_FIRST + 1, most + 1)):
            if asked is None and thread_time() - started > patience:
                left = most + (place > most) - len(runs)
                break
            if size != place:
                runs[size] = subject.real_run(image_size(question.axis, size, place))
    shown = sorted(runs) if asked is None else sorted({*asked, *(n for n in runs if n not in asked and n != place)})
    failures = [_failure(runs[size], question, size, traced.get(size)) for size in shown]
    accepted = [size for size in shown if runs[size].refusal is None]
    found = tuple(failure for failure in failures if failure is not None)
    return AxisReport(name, tuple(shown), found, tuple(accepted), proof.found, proof.reasons, left)


def _failure(run: ModelRun, question: Question, size: int, traced: ModelRun | None) -> Failure | None:
    outcome: Outcome = outcome_of(run, question)
    name = AXIS_NAMES[question.axis]
    if outcome.refusal is not None:
        return Failure(name, size, None, outcome.refusal.layer, outcome.refusal.message)
    if outcome.out == size:
        return None
    layer = ""  # a trace alone knows which layer a size is from
    if traced is not None and outcome_of(traced, question).out == outcome.out:
        dim = traced.outputs[question.output][question.axis - 2]
        layer = dim.layer if type(dim) is TracedSize else ""
    return Failure(name, size, outcome.out, layer, f"the output has {outcome.out}, the input {size}")


def _base(subject: Subject, squares: Sequence[int]) -> tuple[ModelRun | None, dict[int, ModelRun]]:
    """Return a run on a square that is accepted, preferably one whose output has its size, and those that are not."""
    accepted: ModelRun | None = None
    refused: dict[int, ModelRun] = {}
    started = thread_time()
    for place, size in enumerate(squares):
        if accepted is not None:
            if place >= len(_OTHERS):
                break
            if not _ends_alike(subject.traced((size, size))):  # a look, before a real run on a larger image
                continue
        run = refused.get(size) or subject.real_run((size, size))
        if run.refusal is None:
            if _ends_alike(run):
                return run, refused
            accepted = accepted or run
            continue
        refused[size] = run
        own = run.refusal.message.startswith(_OWN_ERRORS) and len(refused) >= _ALIKE
        if accepted is None and (own or thread_time() - started > _PATIENCE):
            break
    return accepted, refused


def _ends_alike(run: ModelRun) -> bool:
    return any(len(shape) == 4 and tuple(map(as_int, shape[-2:])) == run.size for shape in run.outputs.values())


def _nowhere(
    subject: Subject,
    title: str,
    sizes: Sequence[int],
    refused: Mapping[int, ModelRun],
    output: str | None,
    other: int | None,
) -> SizeReport:
    """Return the report about a model that refused the square from which one axis could have been varied."""
    failures, accepted = [], []
    for size in sizes:
        run = refused.get(size) or subject.real_run((size, size))
        if run.refusal is not None:
            failures.append(Failure("size", size, None, run.refusal.layer, run.refusal.message))
            continue
        accepted.append(size)
        height, width = map(as_int, run.outputs[_output_of(run, output)][-2:])
        if (height, width) != (size, size):
            words = f"the output has {height}×{width}, the input {size}×{size}"
            failures.append(Failure("size", size, height if height != size else width, "", words))
    square = "no square image was" if other is None else f"no image of {other}×{other} is"
    reason = (f"{square} accepted, so no axis could be varied by itself",)
    axes = [AxisReport(name, tuple(sizes), tuple(failures), tuple(accepted), None, reason) for name in AXIS_NAMES]
    return SizeReport(title, subject.channels, None, (axes[0], axes[1]))


def _period(run: ModelRun, axis: int) -> int:
    """Return the sizes over which the maps that were seen repeat."""
    period = 1
    for function in run.record.functions[axis]:
        period = min(_MOST, lcm(period, function.period))
    return period


def _output_of(run: ModelRun, output: str | None) -> str:
    maps = {name: shape for name, shape in run.outputs.items() if len(shape) == 4}
    if output is not None and output not in maps:
        raise ConfigError(unknown("output", output, maps))
    if not maps:
        shapes = ", ".join(str(tuple(shape)) for shape in run.outputs.values()) or "no tensor"
        raise ConfigError(f"the model gives no map (N, K, H, W): {shapes}")
    return output or ("out" if "out" in maps else next(iter(maps)))


def _check_kind(model: nn.Module) -> None:
    """Raise a ConfigError for a model of volumes or sequences."""
    kinds = {place: _layers_of(model, place) for place in (1, 2, 3)}
    for place, thing, shape in ((3, "volumes", "(N, C, D, H, W)"), (1, "sequences", "(N, C, L)")):
        if kinds[place] and not kinds[2]:
            raise ConfigError(
                f"{type(model).__name__} is a model of {thing} {shape}, not of images (N, C, H, W): its layers are "
                f"{', '.join(kinds[place])}.\n  try: the same model of {kinds[place][0][:-2]}2d layers."
            )


def _layers_of(model: nn.Module, dimensions: int) -> list[str]:
    """Return the kinds of convolutions and poolings of so many dimensions in a model."""
    names = {type(part).__name__ for part in model.modules() if type(part).__module__.startswith("torch.nn.modules")}
    ending, stems = (
        f"{dimensions}d",
        ("Conv", "ConvTranspose", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool"),
    )
    return sorted(name for name in names if name.endswith(ending) and name[:-2].removeprefix("Lazy") in stems)


def _channels_of(model: nn.Module) -> int:
    first = next((part for part in model.modules() if isinstance(part, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def _sorted_sizes(sizes: Iterable[int]) -> list[int]:
    chosen = sorted({whole(size, "sizes", 1) for size in sizes})
    if not chosen:
        raise ShapeError("sizes must hold at least one size.\n  try: sizes=range(1, 129).")
    return chosen
