"""Learning curves: what each run logged on its way, the seeds of a row as a line with a band."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from segup.ablation.report.style import RowStyle, legend_below, new_figure, of_row
from segup.metrics.scores import MIOU
from segup.training.rows import read_history

LOGGED = {"train/loss": "training loss", f"val/{MIOU.name}": f"validation {MIOU.label}"}
"""What is drawn: columns of ``metrics.csv`` and their titles."""
_POINTS = 120
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What one run logged of one score.

    Args:
        steps: At which optimizer steps, rising.
        values: One for each.
    """

    steps: Floats
    values: Floats


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return the curves of a run folder; none for a run that has logged nothing yet, or whose file cannot be read."""
    file = folder / "metrics.csv"
    try:
        rows = read_history(file) if file.is_file() else []
        return {name: curve for name in LOGGED if (curve := _curve(rows, name)) is not None}
    except (OSError, ValueError):  # a file that is being written, or is not segup's: there is no curve
        return {}


def mean_curve(curves: Sequence[Curve]) -> tuple[Floats, Floats, Floats]:
    """Return steps, mean and standard deviation of several runs, at the steps that all of them logged.

    Each curve is smoothed first where it has many points: a running mean over a twentieth of them.

    >>> steps = np.arange(1.0, 4)
    >>> [part.tolist() for part in mean_curve([Curve(steps, steps), Curve(steps[:2], steps[:2] + 2)])]
    [[1.0, 2.0], [2.0, 3.0], [1.4142135623730951, 1.4142135623730951]]
    """
    smooth = [_smoothed(curve) for curve in curves]
    shared = smooth[0].steps
    for curve in smooth[1:]:
        shared = np.intersect1d(shared, curve.steps)
    values = np.stack([curve.values[np.searchsorted(curve.steps, shared)] for curve in smooth])
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(shared), np.nan)
    return shared, values.mean(axis=0), deviation


def learning_curves(
    finished: Mapping[str, Sequence[Mapping[str, Curve]]],
    unfinished: Mapping[str, Sequence[Mapping[str, Curve]]],
    shown: Mapping[str, RowStyle],
) -> Figure | None:
    """Draw loss and mIoU over the steps: a line with a band for finished seeds, a thin one for each other run.

    Args:
        finished: For each row, the curves of its finished runs.
        unfinished: The same of runs that are not finished.
        shown: How each row looks; rows without a look are left out.
    """
    panels = [
        name
        for name in LOGGED
        if any(name in run for runs in (*finished.values(), *unfinished.values()) for run in runs)
    ]
    named = [name for name in shown if finished.get(name) or unfinished.get(name)]
    if not panels or not named:
        return None
    figure = new_figure(7.6, 3.2 + 0.2 * -(-len(named) // 4))
    for axes, key in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in named:
            whole = [run[key] for run in finished.get(name, ()) if key in run]
            with of_row(axes, name, shown):
                if whole:
                    _line(axes, *mean_curve(whole), shown[name])
                for run in unfinished.get(name, ()):
                    if key in run:
                        curve = _smoothed(run[key])
                        axes.plot(curve.steps, curve.values, linewidth=0.8, alpha=0.75, **shown[name].line)
        axes.set_xlabel("optimizer step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(LOGGED[key])
    legend_below(figure, {name: shown[name] for name in named}, "lines")
    return figure


def _line(axes: Any, steps: Floats, means: Floats, deviations: Floats, look: RowStyle) -> None:
    if len(steps) == 0:
        return
    kept = np.unique(np.linspace(0, len(steps) - 1, min(_POINTS, len(steps))).round().astype(int))
    steps, means, deviations = steps[kept], means[kept], deviations[kept]
    axes.plot(steps, means, **look.line, **({"marker": look.marker} if len(steps) == 1 else {}))
    if not np.isnan(deviations).any():
        axes.fill_between(steps, means - deviations, means + deviations, color=look.color, alpha=0.13, linewidth=0)


def _curve(rows: Sequence[Mapping[str, str]], name: str) -> Curve | None:
    points = {int(row["step"]): float(row[name]) for row in rows if row.get(name)}
    if not points:
        return None
    steps = sorted(points)
    values = np.array([points[step] for step in steps])
    whole = np.isfinite(values)
    return Curve(np.array(steps, dtype=float)[whole], values[whole]) if whole.any() else None


def _smoothed(curve: Curve) -> Curve:
    window = max(1, len(curve.values) // 20)
    return Curve(curve.steps[window - 1 :], np.convolve(curve.values, np.ones(window) / window, mode="valid"))
