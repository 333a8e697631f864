"""The path of a study whose seeds came in rounds: what was seen at each look."""

from math import isnan

from matplotlib.figure import Figure

from segup.ablation.comparison import Comparison
from segup.ablation.report.forest import VERDICTS
from segup.ablation.report.style import INK, new_figure
from segup.statistics import difference_text

_ABREAST = 3
_MOST = 12


def path_figure(comparison: Comparison) -> Figure | None:
    """Draw for each difference what was seen at each look, over the seeds; None where there was one look or none.

    Args:
        comparison: The rows. The first dozen differences are drawn.
    """
    decision = comparison.decision
    if len(decision.looks) < 2:
        return None
    drawn = [one for one in decision.differences if not isnan(one.mean)][:_MOST]
    lines = -(-len(drawn) // _ABREAST)
    figure = new_figure(7.6, 0.4 + 1.75 * lines)
    grid = figure.subplots(lines, min(_ABREAST, len(drawn)), squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(drawn) :]:
        axes.set_axis_off()
    for axes, final in zip(grid.flat, drawn, strict=False):
        axes.axhspan(-decision.margin, decision.margin, color="#009e73", alpha=0.13, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.9)
        seen = [
            (look.blocks, one)
            for look in decision.looks
            for one in look.differences
            if (one.arm, one.other) == (final.arm, final.other) and not isnan(one.half_width)
        ]
        for blocks, one in seen:
            color, marker = VERDICTS[one.verdict]
            axes.errorbar(
                blocks, one.mean, yerr=one.half_width, fmt=marker, color=color, capsize=2, elinewidth=1.2, markersize=5,
                markerfacecolor="none" if one.verdict == "undecided" else color,
            )  # fmt: skip
        name = final.arm if comparison.baseline is not None else f"{final.arm} − {final.other}"
        axes.set_title(f"{name}\n{difference_text(final, decision.margin)} {final.verdict}", fontsize=8)
        widest = max((one.half_width for _, one in seen[-2:]), default=decision.margin)
        axes.set_ylim(*_limits(axes.get_ylim(), final.mean, widest))
    for line in grid:
        line[0].set_ylabel(f"{comparison.metric.label} difference")
    for axes in grid[-1]:
        axes.set_xlabel("seeds")
    return figure


def _limits(now: tuple[float, float], mean: float, widest: float) -> tuple[float, float]:
    """Return limits that the first looks, whose intervals are far wider, may leave."""
    reach = 2.5 * widest + abs(mean)
    return max(now[0], -reach), min(now[1], reach)
