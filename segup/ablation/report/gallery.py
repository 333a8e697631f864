"""The figures and pictures of a report, each drawn, named, explained, and told to who does not see it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Drawing

from segup.ablation.comparison import Comparison, Row
from segup.ablation.report import style
from segup.ablation.report.content import SHOWN, WORST, Figure, StudyReport, shown_rows
from segup.ablation.report.curves import Curve, learning_curves, read_curves
from segup.ablation.report.figures import (
    accuracy_against_cost,
    band_iou,
    bands_of,
    checkerboard_spectrum_figure,
    class_bars,
    pareto_front,
    periods,
)
from segup.ablation.report.forest import MOST, drawn_differences, forest, path_figure
from segup.ablation.rounds import ending
from segup.ablation.runs import Run
from segup.metrics.scores import MIOU
from segup.statistics import decided_sentence
from segup.tables import counted, percent

if TYPE_CHECKING:
    from segup.ablation.report.crops import Worst

_BAND = "Lines are means over seeds, the shade around them is one standard deviation."
_OTHERS = " The thin intervals below hold for other images of their kind."


def draw(report: StudyReport) -> list[Figure]:
    """Return the figures that the report's runs have something to say for."""
    comparison = report.comparison
    rows = [] if comparison is None else shown_rows(comparison)
    names = [row.name for row in rows] or list(dict.fromkeys(member.label for member in report.study.members))[:SHOWN]
    left_out = "" if comparison is None or len(rows) == len(comparison.rows) else (
        f" The {len(rows)} rows best in {MIOU.label} are drawn, of {len(comparison.rows)}."
    )  # fmt: skip
    look = style.looks(names)
    unfinished: dict[str, list[Mapping[str, Curve]]] = {}
    for member in report.unfinished:
        if member.label in look:
            unfinished.setdefault(member.label, []).append(read_curves(member.path))
    with style.styled():
        curves = (
            "learning_curves", "Learning curves",
            learning_curves({row.name: [read_curves(run.path) for run in row.runs] for row in rows}, unfinished, look),
            f"{_BAND} The loss is smoothed. Thin lines are runs that have not finished.",
        )  # fmt: skip
        drawn = [curves] if comparison is None else [
            (
                "differences", f"Differences in {comparison.metric.label} {_against(comparison)}",
                forest(comparison, drawn_differences(comparison)),
                "The mean of the differences seed by seed, with intervals that hold together"
                f" with {percent(comparison.decision.level)} probability. Filled markers "
                "are decided: better or worse where the interval excludes 0, equal where two one-sided tests put the "
                "difference within the margin. P is the probability of improvement as it was seen, which decides "
                "nothing: the share of pairs of a run of the one and a run of the other in which the first is better."
                f"{_OTHERS if comparison.on_others is not None else ''}{_left_out(comparison)}",
            ),
            (
                "path", "How it was decided", path_figure(comparison),
                "What was seen at each look at the study, after so many seeds: the differences with the intervals of "
                "that look, which are wider than those of a study that is looked at once. A filled marker is decided; "
                "a row that is decided against the study's baseline gets no further seeds."
                f"{f' {ending(report.study)}' if comparison.decision.looks else ''}",
            ),
            (
                "accuracy_cost", f"{MIOU.label} against cost", accuracy_against_cost(rows, look),
                f"Each marker is an operator: {MIOU.label} of the last checkpoint over what it costs, bars of one "
                "standard deviation over the seeds where there are several, of times over the turns. The line is the "
                "Pareto front of the means: no row costs less and scores more than one on it. It is described and not "
                "tested.",
            ),
            curves,
            (
                "band_iou", "IoU near the boundary", band_iou(rows, look, report.baseline),
                f"{MIOU.label} of the pixels at most so many rows and columns from the true boundary, on both its "
                f"sides; on the right, the mean difference to the baseline, seed by seed. {_BAND}",
            ),
            (
                "class_iou", "IoU by class", class_bars(rows, look, comparison.classes),
                "Means over the seeds, with one standard deviation.",
            ),
            (
                "checkerboard_spectrum", "Checkerboard spectrum", checkerboard_spectrum_figure(rows, look),
                "A constant map goes through each upsampling step as it was trained. Left: which share of its energy "
                "becomes a pattern, over the distance in image pixels at which that repeats; the shortest is the step "
                "to the image. It is the mean over the channels' shares, over steps of one period and over seeds. The "
                "constant response below is one channel of one step in one seed, so it need not look as strong. Right: "
                "how the stripes lie, the mean over the steps. Zero is no checkerboard.",
            ),
        ]  # fmt: skip
        return [
            _saved(
                name,
                title,
                figure,
                caption + (left_out if name != "differences" else ""),
                f"{_seen(title, names)}. {seen_in(name, comparison, rows)}".rstrip(". ") + ".",
            )
            for name, title, figure, caption in drawn
            if figure is not None
        ]


def _against(comparison: Comparison) -> str:
    return "between all pairs" if comparison.baseline is None else f"to {comparison.baseline}"


def _left_out(comparison: Comparison) -> str:
    count = len(comparison.decision.differences)
    return (
        f" {MOST} of {count} differences are drawn: the decided ones first, then the largest." if count > MOST else ""
    )


def pictures(report: StudyReport, trust: Sequence[str] = ()) -> tuple[list[Figure], tuple[str, ...]]:
    """Return the pictures, and what could not be shown; without any checkpoint there are none.

    Args:
        report: What is told.
        trust: Modules outside segup that a checkpoint may import.
    """
    runs = one_seed(report)
    if not runs:
        return [], ()
    from segup.ablation.report.crops import worst_figure
    from segup.ablation.report.pictures import crop_figure, look, response_figure  # with it comes all of training

    found, drawn = look(runs, trust), []
    seed = next(iter(runs.values())).block
    with style.styled():
        if found.crops and found.labels is not None:
            drawn.append(_saved(
                "crops", "The same crops through every operator", crop_figure(found.crops, found.labels),
                f"Validation crops in which the operators disagree most (last checkpoint, {seed}), named by "
                "image, row and column. Below each prediction, where it is wrong.",
                _seen("Crops, the truth, predictions and maps of what is wrong", list(runs)), pixels=True,
            ))  # fmt: skip
        for place, (name, worst) in enumerate(found.worst.items()):
            if found.labels is not None and worst:
                drawn.append(_saved(
                    f"{WORST}{place}", f"Worst images of {name}", worst_figure(worst, found.labels),
                    f"Of the validation images that were looked at, those with the lowest {MIOU.label} (last "
                    f"checkpoint, {seed}). The frame marks where most pixels near the true boundary are wrong; beside "
                    "it that part, the prediction and what is wrong in it. The white line is the true boundary.",
                    _worst_seen(name, worst), pixels=True, of_row=name,
                ))  # fmt: skip
        measured = {name: found for name, found in found.responses.items() if not isinstance(found, str)}
        if measured:
            drawn.append(_saved(
                "responses", "Impulse and constant response", response_figure(measured),
                f"The operator of the last step before the image, as it was trained with {seed}: above, what one "
                "pixel adds around itself (root mean square over the output channels; largest value 1); below, what a "
                "constant map becomes in the channel whose pattern is nearest to the mean of all, borders included "
                "(root mean square 1: an even colour is no pattern), and the share of its energy that is pattern, the "
                "mean over channels: this step and seed in the checkerboard's spectrum.",
                _seen("Pictures of the responses", list(measured)), pixels=True,
            ))  # fmt: skip
    silent = tuple(f"{name} has no response: {why}" for name, why in found.responses.items() if isinstance(why, str))
    return drawn, (*found.missing, *silent)


def one_seed(report: StudyReport) -> dict[str, Run]:
    """Return for each row that is drawn its run of one block, which has a checkpoint: the block that most rows have."""
    if report.comparison is None:
        return {}
    rows = shown_rows(report.comparison)
    kept = [(row.name, run) for row in rows for run in row.runs if (run.path / "last.ckpt").is_file()]
    blocks = [run.block for _, run in kept]
    if not blocks:
        return {}
    block = min(blocks, key=lambda one: (-blocks.count(one), one.order))
    return {name: run for name, run in kept if run.block == block}


def _worst_seen(name: str, worst: "Sequence[Worst]") -> str:
    told = ", ".join(f"{one.zoom.name} with {MIOU.label} {one.miou:.3f}" for one in worst)
    return f"The images on which {name} does worst, with a part of each enlarged: {told}"


def _seen(what: str, names: Sequence[str]) -> str:
    """Return a picture's text for who does not see it: what is drawn, and of which rows."""
    return f"{what} of {', '.join(names)}"


def _saved(
    name: str, title: str, figure: object, caption: str, alt: str, pixels: bool = False, of_row: str = ""
) -> Figure:
    assert isinstance(figure, Drawing)
    if not pixels:
        style.laid_out(figure)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    drawn = None if pixels else style.svg(figure)
    return Figure(name, title, caption, style.png(figure), drawn, width, height, alt, of_row)


def seen_in(name: str, comparison: Comparison | None, rows: Sequence[Row]) -> str:
    """Return what a figure shows, its largest and smallest values with the rows that have them.

    Args:
        name: Of the figure.
        comparison: Its rows.
        rows: Those that are drawn.
    """
    if comparison is None or not rows:
        return ""
    decided = decided_sentence(comparison.decision, comparison.metric.label)
    told = {
        "differences": lambda: f"Intervals around the differences. {decided}",
        "path": lambda: f"Intervals that become narrower from look to look. {decided}",
        "accuracy_cost": lambda: _front(rows),
        "learning_curves": lambda: f"Curves that end at a validation {_range(_scores(rows, MIOU.name), MIOU.label)}.",
        "band_iou": lambda: _bands(rows),
        "class_iou": lambda: _classes(comparison, rows),
        "checkerboard_spectrum": lambda: _patterns(rows),
    }
    return told[name]() if name in told else ""


def _scores(rows: Sequence[Row], key: str) -> dict[str, float]:
    return {row.name: score.mean for row in rows if (score := row.score(key)) is not None}


def _range(values: Mapping[str, float], what: str) -> str:
    """Return "mIoU between 0.735 (carafe) and 0.748 (dysample)"."""
    if not values:
        return f"{what} that is not known"
    least, most = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    if len(values) == 1:
        return f"{what} of {values[most]:.3f} ({most})"
    if f"{values[least]:.3f}" == f"{values[most]:.3f}":
        return f"{what} of {values[most]:.3f} in all rows"
    return f"{what} between {values[least]:.3f} ({least}) and {values[most]:.3f} ({most})"


def _front(rows: Sequence[Row]) -> str:
    front = ", ".join(row.name for row in pareto_front(rows, "parameters"))
    return f"Markers with {_range(_scores(rows, MIOU.name), MIOU.label)}; the front over parameters is {front}."


def _bands(rows: Sequence[Row]) -> str:
    found = {row.name: bands for row in rows if (bands := bands_of(row))}
    widths = sorted({width for bands in found.values() for width in bands})
    ends = []
    for width in dict.fromkeys((*widths[:1], *widths[-1:])):
        values = {name: bands[width].mean for name, bands in found.items() if width in bands}
        ends.append(f"at {counted(width, 'pixel')} {_range(values, MIOU.label)}")
    return f"Curves over the width of the band: {'; '.join(ends)}."


def _classes(comparison: Comparison, rows: Sequence[Row]) -> str:
    parts = [_range(_scores(rows, f"iou/{name}"), f"{name}: IoU") for name in comparison.classes[:6]]
    more = len(comparison.classes) - len(parts)
    return f"Bars by class. {'; '.join(parts)}{f'; and {more} more classes' if more > 0 else ''}."


def _patterns(rows: Sequence[Row]) -> str:
    strongest = {row.name: max((one.mean for one in periods(row).values()), default=0.0) for row in rows}
    flat = [name for name, share in strongest.items() if share < 5e-4]
    rest = {name: share for name, share in strongest.items() if name not in flat}
    told = [f"No pattern in {', '.join(flat)}."] if flat else []
    return " ".join([*told, f"{_range(rest, 'The strongest pattern of a row: a share')}."] if rest else told)
