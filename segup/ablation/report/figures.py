"""The figures of scores: accuracy against cost, classes, the band around the boundary, the checkerboard's spectrum."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from segup.ablation.block import Block
from segup.ablation.comparison import Row, by_seed
from segup.ablation.report.style import FAINT, RowStyle, legend_below, new_figure, of_row
from segup.metrics.scores import MIOU
from segup.statistics import Spread, spread

_COSTS = (
    ("parameters", "parameters (millions)", 1e6),
    ("macs", "multiply-accumulates of one crop (billions)", 1e9),
    ("step_seconds", "training step (ms)", 1e-3),
    ("inference_seconds", "inference latency of one crop (ms)", 1e-3),
)
_CLOSEST = 0.1  # what an axis of costs shows at least, as a share of them
_BARS_IN_A_LINE = 42


def accuracy_against_cost(rows: Sequence[Row], shown: Mapping[str, RowStyle]) -> Figure | None:
    """Draw mIoU over each cost that was measured, with a bar of one standard deviation where seeds tell it.

    Args:
        rows: Those to draw.
        shown: How each looks.
    """
    known = [cost for cost in _COSTS if any(row.score(cost[0]) is not None for row in rows)]
    if not known or all(row.score(MIOU.name) is None for row in rows):
        return None
    lines = (len(known) + 1) // 2
    figure = new_figure(7.6, 2.75 * lines + 0.25 + 0.2 * -(-len(rows) // 4))
    grid = figure.subplots(lines, 2, sharey=True, squeeze=False)
    for axes in grid.flat[len(known) :]:
        axes.set_axis_off()
    for axes, (key, title, unit) in zip(grid.flat, known, strict=False):
        for row in rows:
            score, cost = row.score(MIOU.name), row.score(key)
            if score is None or cost is None:
                continue
            look = shown[row.name]
            with of_row(axes, row.name, shown):
                axes.errorbar(
                    cost.mean / unit, score.mean, xerr=_bar(cost, unit), yerr=_bar(score), fmt=look.marker,
                    color=look.color, markersize=7.5, markeredgecolor="white", markeredgewidth=0.6, elinewidth=0.9,
                    capsize=2, zorder=3,
                )  # fmt: skip
        front = pareto_front(rows, key)
        points = [(row.score(key), row.score(MIOU.name)) for row in front]
        axes.plot(
            [cost.mean / unit for cost, _ in points if cost], [score.mean for _, score in points if score],
            color=FAINT, linewidth=0.9, drawstyle="steps-post", zorder=1,
        )  # fmt: skip
        axes.set_xlabel(title)
        axes.margins(0.09)
        _not_closer(axes)
    for line in grid:
        line[0].set_ylabel(MIOU.label)
    legend_below(figure, {row.name: shown[row.name] for row in rows}, "markers")
    return figure


def pareto_front(rows: Sequence[Row], cost: str) -> list[Row]:
    """Return the rows that no other beats in mean mIoU at no more of a cost, the cheapest first.

    Args:
        rows: Those to choose from; a row without either is left out.
        cost: The cost's key.
    """
    known = [
        (price.mean, -score.mean, place)
        for place, row in enumerate(rows)
        if (price := row.score(cost)) is not None and (score := row.score(MIOU.name)) is not None
    ]
    front: list[Row] = []
    best = -float("inf")
    for _, loss, place in sorted(known):
        if -loss > best:
            front.append(rows[place])
            best = -loss
    return front


def band_iou(rows: Sequence[Row], shown: Mapping[str, RowStyle], baseline: str) -> Figure | None:
    """Draw mIoU inside a band around the true boundary over the band's width; beside it, the baseline taken away.

    Args:
        rows: Those to draw; a run that did not measure it is left out.
        shown: How each looks.
        baseline: The row that the others are held against, seed by seed.
    """
    drawn = {row.name: found for row in rows if (found := bands_of(row))}
    if not drawn:
        return None
    references = {run.block: run.bands for row in rows if row.name == baseline for run in row.runs if run.bands}
    figure = new_figure(7.6, 3.3 + 0.2 * -(-len(drawn) // 4))
    both = bool(references) and len(drawn) > 1
    left, *right = figure.subplots(1, 1 + both, squeeze=False)[0]
    for name, values in drawn.items():
        with of_row(left, name, shown):
            with_band(left, values, shown[name])
    left.set_ylabel(f"{MIOU.label} inside the band")
    widths = sorted({width for values in drawn.values() for width in values})
    for axes in right:
        axes.axhline(0, **{**shown[baseline].line, "linewidth": 1.2})
        for row in rows:
            if row.name in drawn and row.name != baseline:
                with of_row(axes, row.name, shown):
                    with_band(axes, _minus(row, references), shown[row.name])
        axes.set_ylabel(f"difference to {baseline}")
    for axes in (left, *right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
        axes.set_xlabel("width of the band on each side (pixels)")
    legend_below(figure, {name: shown[name] for name in drawn})
    return figure


def class_bars(rows: Sequence[Row], shown: Mapping[str, RowStyle], classes: Sequence[str]) -> Figure | None:
    """Draw a group of bars for each class, its IoU with every row; many classes take several lines.

    Args:
        rows: Those to draw.
        shown: How each looks.
        classes: Names of the classes.
    """
    if not classes or not rows:
        return None
    per_line = max(1, min(len(classes), _BARS_IN_A_LINE // len(rows)))
    lines = -(-len(classes) // per_line)
    per_line = -(-len(classes) // lines)
    figure = new_figure(7.6, 2.3 * lines + 0.45 + 0.2 * -(-len(rows) // 4))
    grid = figure.subplots(lines, 1, squeeze=False, sharey=True)[:, 0]
    width = 0.84 / len(rows)
    for line, axes in enumerate(grid):
        part = classes[line * per_line : (line + 1) * per_line]
        for place, row in enumerate(rows):
            values = [row.score(f"iou/{name}") for name in part]
            at = np.arange(len(part)) + (place - (len(rows) - 1) / 2) * width
            means = [np.nan if value is None else value.mean for value in values]
            spreads = [0.0 if value is None or isnan(value.deviation) else value.deviation for value in values]
            drawn = [i for i, deviation in enumerate(spreads) if deviation > 0]
            with of_row(axes, row.name, shown):
                axes.bar(at, means, width, **shown[row.name].bar)
                axes.errorbar(
                    at[drawn], [means[i] for i in drawn], [spreads[i] for i in drawn], fmt="none", ecolor="#222222",
                    elinewidth=0.9, capsize=1.8,
                )  # fmt: skip
        axes.set_xticks(range(len(part)), part)
        axes.set_xlim(-0.6, per_line - 0.4)
        axes.grid(False, axis="x")
        axes.set_ylim(0, 1)
        axes.set_ylabel("IoU")
    legend_below(figure, {row.name: shown[row.name] for row in rows}, "bars")
    return figure


def _not_closer(axes: Any) -> None:
    """Let costs that are almost equal, as those of matched decoders are, look almost equal."""
    left, right = axes.get_xlim()
    middle = (left + right) / 2
    if right - left < _CLOSEST * middle:
        axes.set_xlim(middle * (1 - _CLOSEST / 2), middle * (1 + _CLOSEST / 2))
    axes.locator_params(axis="x", nbins=5)


def _bar(value: Spread, unit: float = 1) -> float | None:
    return None if isnan(value.deviation) or value.deviation == 0 else value.deviation / unit


def bands_of(row: Row) -> dict[int, Spread]:
    """Return the IoU near the boundary by the width of the band, over the seeds."""
    return spreads_of([(run.seed, run.bands) for run in row.runs if run.bands])


def _minus(row: Row, references: Mapping[Block, Mapping[int, float]]) -> dict[int, Spread]:
    """Return the spread of the paired differences, seed by seed."""
    return spreads_of(
        [
            (run.seed, {width: value - reference[width] for width, value in run.bands.items() if width in reference})
            for run in row.runs
            if run.bands and (reference := references.get(run.block)) is not None
        ]
    )


def spreads_of(runs: Sequence[tuple[int, Mapping[int, float]]]) -> dict[int, Spread]:
    """Return the spread over the seeds of what was measured at each width or period, in their order.

    Args:
        runs: Of each run its seed and what was measured.
    """
    places = sorted({place for _, measured in runs for place in measured})
    return {place: spread(by_seed((seed, of[place]) for seed, of in runs if place in of)) for place in places}


def with_band(axes: Any, values: Mapping[int, Spread], look: RowStyle, **style: Any) -> None:
    """Draw a line with markers, and one standard deviation around it where it is known."""
    if not values:
        return
    at = list(values)
    means = np.array([value.mean for value in values.values()])
    deviations = np.array([value.deviation for value in values.values()])
    axes.plot(at, means, zorder=3, **style, **look.points)
    if not np.isnan(deviations).any():
        axes.fill_between(at, means - deviations, means + deviations, color=look.color, alpha=0.13, linewidth=0)


DIRECTIONS = ("along rows", "down columns", "both (board)")
"""How a step's pattern lies: stripes that run along the rows, stripes down the columns, or both at once."""


def periods(row: Row) -> dict[int, Spread]:
    """Return for each period in image pixels the share of a constant's energy that becomes a pattern, over the seeds.

    A step by s to a map of reduction r makes patterns that repeat every r·s image pixels. Where two steps have one
    period, the mean of both.
    """
    runs = []
    for run in row.runs:
        found: dict[int, list[float]] = defaultdict(list)
        for step in run.spectrum:
            energy = np.asarray(step["energy"])
            found[int(step["reduction"]) * len(energy)].append(1 - float(energy[0, 0]))
        if found:
            runs.append((run.seed, {period: float(np.mean(values)) for period, values in found.items()}))
    return spreads_of(runs)


def directions(row: Row) -> list[float] | None:
    """Return the share of energy in each of :data:`DIRECTIONS`, the mean over steps and seeds; None if not measured."""
    shares = []
    for run in row.runs:
        for step in run.spectrum:
            energy = np.asarray(step["energy"])
            shares.append([energy[1:, 0].sum(), energy[0, 1:].sum(), energy[1:, 1:].sum()])
    return [float(share) for share in np.mean(shares, axis=0)] if shares else None


def checkerboard_spectrum_figure(rows: Sequence[Row], shown: Mapping[str, RowStyle]) -> Figure | None:
    """Draw the pattern's share over its period in the image, and beside it in which direction it lies.

    Args:
        rows: Those to draw; a run that did not measure it is left out.
        shown: How each looks.
    """
    drawn = {row.name: (found, share) for row in rows if (found := periods(row)) and (share := directions(row))}
    if not drawn:
        return None
    figure = new_figure(7.6, 3.2 + 0.2 * -(-len(drawn) // 4))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    every = sorted({period for found, _ in drawn.values() for period in found})
    for name, (found, _) in drawn.items():
        with of_row(left, name, shown):
            with_band(left, found, shown[name], clip_on=False)
    left.set_xscale("log", base=2)
    left.set_xticks(every, [str(period) for period in every])
    left.minorticks_off()
    left.set_ylim(bottom=0)
    left.set_xlabel("period of the pattern in the image (pixels)")
    left.set_ylabel("share of a constant's energy")
    width = 0.84 / len(drawn)
    for place, (name, (_, share)) in enumerate(drawn.items()):
        with of_row(right, name, shown):
            right.bar(np.arange(3) + (place - (len(drawn) - 1) / 2) * width, share, width, **shown[name].bar)
    right.set_xticks(range(3), DIRECTIONS)
    right.set_xlabel("direction of the stripes")
    right.grid(False, axis="x")
    legend_below(figure, {name: shown[name] for name in drawn})
    return figure
