"""The differences that are decided, with their intervals and the margin; and what was seen of them at each look."""

from collections.abc import Sequence
from math import isnan

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segup.ablation.comparison import Comparison
from segup.ablation.report.style import FAINT, INK, new_figure
from segup.statistics import Difference, difference_text

MOST = 24
"""Differences that are drawn at most; the tables have all."""
_ABREAST = 3
_MOST_PATHS = 12
_BEYOND = 1.1
"""How far the path's axis reaches beyond the last intervals; the first, which are far wider, may leave it."""
_VERDICTS = {
    "better": ("#0072b2", "o"),
    "worse": ("#d55e00", "s"),
    "equal": ("#009e73", "D"),
    "undecided": (FAINT, "o"),
}


def drawn_differences(comparison: Comparison) -> list[Difference]:
    """Return the differences that the figure shows: those that are known, the decided ones first where there are many.

    They stay in the table's order.
    """
    known = [one for one in comparison.decision.differences if not isnan(one.mean)]
    chosen = sorted(known, key=lambda one: (one.verdict == "undecided", -abs(one.mean)))[:MOST]
    return [one for one in known if one in chosen]


def forest(comparison: Comparison, drawn: Sequence[Difference]) -> Figure | None:
    """Draw each difference with its interval; the margin is shaded, colour and marker tell the verdict.

    Below it, thin, is the interval for other images of their kind, where that is known. In rounds it may be of another
    look, and so of another mean.

    Args:
        comparison: The rows.
        drawn: See :func:`drawn_differences`.
    """
    if not drawn:
        return None
    decision, score, others = comparison.decision, comparison.metric.label, comparison.on_others
    figure = new_figure(7.6, 1.05 + 0.29 * len(drawn))
    axes = figure.subplots()
    axes.axvspan(-decision.margin, decision.margin, color="#009e73", alpha=0.13, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, one in enumerate(drawn):
        color, marker = _VERDICTS[one.verdict]
        wider = None if others is None else others.decision.of(one.arm, one.other)
        axes.errorbar(
            one.mean, place, xerr=None if isnan(one.half_width) else one.half_width, fmt=marker, color=color,
            markerfacecolor="none" if one.verdict == "undecided" else color, capsize=3, elinewidth=1.5, markersize=6,
        )  # fmt: skip
        if wider is not None and not isnan(wider.half_width):
            axes.errorbar(
                wider.mean, place + 0.2, xerr=wider.half_width, fmt=".", color=FAINT, capsize=2, elinewidth=0.8,
                markersize=3,
            )  # fmt: skip
        better = "" if isnan(one.improvement) else f", P {one.improvement:.2f}"
        axes.annotate(
            f"{difference_text(one, decision.margin)}  {one.verdict}{better}", (1.02, place),
            va="center", fontsize=8.5, xycoords=("axes fraction", "data"), annotation_clip=False,
        )  # fmt: skip
    names = [one.arm if comparison.baseline is not None else f"{one.arm} − {one.other}" for one in drawn]
    axes.set_yticks(range(len(drawn)), names)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(False, axis="y")
    better = "right" if decision.better == "higher" else "left"
    against = "" if comparison.baseline is None else f" − {comparison.baseline}"
    axes.set_xlabel(f"{score}{against} (better to the {better}; shaded: the margin, ±{decision.margin:g})")
    return figure


def path_figure(comparison: Comparison) -> Figure | None:
    """Draw for each difference what was seen at each look, over the seeds; None where there was one look or none.

    Args:
        comparison: The rows. The first dozen differences are drawn.
    """
    decision = comparison.decision
    if len(decision.looks) < 2:
        return None
    drawn = [one for one in decision.differences if not isnan(one.mean)][:_MOST_PATHS]
    lines = -(-len(drawn) // _ABREAST)
    figure = new_figure(7.6, 0.4 + 1.75 * lines)
    grid = figure.subplots(lines, min(_ABREAST, len(drawn)), squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(drawn) :]:
        axes.set_axis_off()
    ends: list[float] = []
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
            color, marker = _VERDICTS[one.verdict]
            axes.errorbar(
                blocks, one.mean, yerr=one.half_width, fmt=marker, color=color, capsize=2, elinewidth=1.2, markersize=5,
                markerfacecolor="none" if one.verdict == "undecided" else color,
            )  # fmt: skip
        name = final.arm if comparison.baseline is not None else f"{final.arm} − {final.other}"
        axes.set_title(f"{name}\n{difference_text(final, decision.margin)} {final.verdict}", fontsize=8)
        ends += [one.mean for _, one in seen]
        ends += [one.mean + sign * one.half_width for _, one in seen[-2:] for sign in (-_BEYOND, _BEYOND)]
    if ends:  # of all panels, which share the axis
        low, high = grid[0][0].get_ylim()
        grid[0][0].set_ylim(max(low, min(ends)), min(high, max(ends)))
    grid[0][0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for line in grid:
        line[0].set_ylabel(f"{comparison.metric.label} difference")
    for axes in grid[-1]:
        axes.set_xlabel("seeds")
    return figure
