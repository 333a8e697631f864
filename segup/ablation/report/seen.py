"""What is to be seen in each figure, in a sentence, for who does not see it."""

from collections.abc import Mapping, Sequence

from segup.ablation.comparison import Comparison, Row
from segup.ablation.report.figures import bands_of, pareto_front
from segup.ablation.report.spectrum import periods
from segup.metrics.scores import MIOU
from segup.statistics import decided_sentence


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
        ends.append(f"at {width} pixel{'' if width == 1 else 's'} {_range(values, MIOU.label)}")
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
