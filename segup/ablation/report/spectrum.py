"""The checkerboard's spectrum: how strong each upsampling step's pattern is, at which period, in which direction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from segup.ablation.comparison import Row
from segup.ablation.report.figures import spreads_of, with_band
from segup.ablation.report.style import Look, legend_below, new_figure, of_row
from segup.statistics import Spread

DIRECTIONS = ("along rows", "down columns", "both (board)")
"""How a step's pattern lies: stripes that run along the rows, stripes down the columns, or both at once."""


def periods(row: Row) -> dict[int, Spread]:
    """Return for each period in image pixels the share of a constant's energy that becomes a pattern, over the seeds.

    A step by s to a map of reduction r makes patterns that repeat every r·s image pixels. Where two steps have one
    period, the mean of both.
    """
    seeds = []
    for run in row.runs:
        found: dict[int, list[float]] = defaultdict(list)
        for step in run.spectrum:
            energy = np.asarray(step["energy"])
            found[int(step["reduction"]) * len(energy)].append(1 - float(energy[0, 0]))
        if found:
            seeds.append({period: float(np.mean(values)) for period, values in found.items()})
    return spreads_of(seeds)


def directions(row: Row) -> list[float] | None:
    """Return the share of energy in each of :data:`DIRECTIONS`, the mean over steps and seeds; None if not measured."""
    shares = []
    for run in row.runs:
        for step in run.spectrum:
            energy = np.asarray(step["energy"])
            shares.append([energy[1:, 0].sum(), energy[0, 1:].sum(), energy[1:, 1:].sum()])
    return [float(share) for share in np.mean(shares, axis=0)] if shares else None


def checkerboard_spectrum_figure(rows: Sequence[Row], shown: Mapping[str, Look]) -> Figure | None:
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
