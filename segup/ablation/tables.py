"""A comparison as text: Markdown for a README, CSV for programs, LaTeX (booktabs) for a paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from segup.ablation.comparison import TIMED, Comparison, Row
from segup.ablation.images import OnOthers
from segup.ablation.markup import code, piped, plain, tex
from segup.ablation.runs import BEST
from segup.errors import ConfigError, unknown
from segup.metrics.scores import MIOU
from segup.statistics import FEWEST, Spread, difference_text
from segup.statistics.decision import equal_at
from segup.stored import visible
from segup.tables import percent
from segup.training import rows


@dataclass(frozen=True)
class Column:
    """One score or cost.

    Args:
        key: Its name in a run.
        title: Its heading.
        text: From the spread to a cell.
        better: 1 where more is better, -1 where less is, 0 where neither is marked.
        group: Which table it stands in.
        about: What it is, in one line.
    """

    key: str
    title: str
    text: Callable[[Spread], str]
    better: int
    group: str = "costs"
    about: str = ""


def score_text(value: Spread) -> str:
    """Return mean ± standard deviation with three digits; the mean alone for one seed.

    >>> score_text(Spread(0.7634, 0.0093, 3)), score_text(Spread(0.7634, float("nan"), 1))
    ('0.763 ± 0.009', '0.763')
    """
    return f"{value.mean:.3f}" if isnan(value.deviation) else f"{value.mean:.3f} ± {value.deviation:.3f}"


def scaled(factor: float, unit: str, digits: int = 2) -> Callable[[Spread], str]:
    """Return the text of a spread divided by ``factor``; a deviation of 0 at these digits is left out.

    >>> text = scaled(1e-3, "ms", 0)
    >>> text(Spread(0.914, 0.012, 3)), text(Spread(0.914, 0.0001, 3)), text(Spread(0.914, float("nan"), 1))
    ('914 ± 12 ms', '914 ms', '914 ms')
    """

    def text(value: Spread) -> str:
        mean, deviation = (f"{number / factor:.{digits}f}" for number in (value.mean, value.deviation))
        shown = not isnan(value.deviation) and float(deviation) > 0
        return f"{mean}{f' ± {deviation}' if shown else ''} {unit}".rstrip()

    return text


def figures_text(value: Spread) -> str:
    """Return mean ± standard deviation with three figures, for scores that are no shares of 1.

    >>> figures_text(Spread(123.456, 0.5, 3)), figures_text(Spread(0.0123, float("nan"), 1))
    ('123 ± 0.5', '0.0123')
    """
    return f"{value.mean:.3g}" if isnan(value.deviation) else f"{value.mean:.3g} ± {value.deviation:.3g}"


def score_columns(comparison: Comparison) -> list[Column]:
    """Return the columns of the scores: first the one that is decided by, at the end those told class by class."""
    whole, by_class = [], []
    for score in comparison.scores:
        text, better = score_text if score.share else figures_text, _SIGNS[score.better]
        if score.per_class:
            group = f"{score.label} by class"
            titles = {f"{score.name}/{name}": f"{score.label} {name}" for name in comparison.classes}
            by_class += [Column(key, title, text, better, group, score.about) for key, title in titles.items()]
        else:
            whole.append(Column(score.name, score.label, text, better, SCORES, score.about))
        if score.name == MIOU.name:
            whole.append(Column(BEST, "best (optimistic)", text, 0, SCORES))
    return [*sorted(whole, key=lambda column: column.key != comparison.metric.name), *by_class]


def grouped(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """Return the columns of each table."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(column.group, []).append(column)
    return found


SCORES = "scores"
"""The group of scores that are one number."""
_SIGNS = {"higher": 1, "lower": -1, None: 0}


def notes(comparison: Comparison) -> str:
    """Return what the numbers are, in words."""
    decision, label = comparison.decision, comparison.metric.label
    against = "between two rows" if comparison.baseline is None else f"to {comparison.baseline}"
    errors = sorted({equal_at(look.level) for look in decision.looks} or {equal_at(decision.level)})
    level, error = (
        percent(decision.level),
        " to ".join(dict.fromkeys(percent(float(f"{error:.3g}")) for error in (errors[0], errors[-1]))),
    )
    return (
        f"Scores are those of the last checkpoint{_scored_on(comparison)}, mean ± one standard deviation over "
        f"seeds{_and_folds(comparison)}. A "
        f"difference in {label} {against} is the mean of the differences seed by seed, with its interval in brackets; "
        f"all intervals hold together with {level} probability. Better or worse: the interval excludes 0. "
        f"Equal: two one-sided tests, each at {error}{_by_look(comparison)}, put the difference within "
        f"±{decision.margin:g}. The other scores are described and not tested. Bold: decided to be better in {label} "
        f"than whatever it was held against.{_looks(comparison)}{_of_these_images(comparison)}{_distances(comparison)}"
    )


def _and_folds(comparison: Comparison) -> str:
    """Return that the images differ between seeds, where each validates on folds of its own."""
    folds: dict[int, set[int | None]] = {}
    for block in comparison.blocks:
        folds.setdefault(block.seed, set()).add(block.fold)
    return " and the folds that they validate on" if len({frozenset(of) for of in folds.values()}) > 1 else ""


def _by_look(comparison: Comparison) -> str:
    return " by the look" if len({look.level for look in comparison.decision.looks}) > 1 else ""


def _images(comparison: Comparison) -> list[int]:
    """Return on how many images runs were scored; with folds, on how many altogether."""
    runs = [run for row in comparison.rows for run in row.runs if run.images is not None]
    by_fold = {run.block.fold: run.images or 0 for run in runs}
    if None not in by_fold and by_fold:
        return [sum(by_fold.values())]
    return sorted({run.images for run in runs if run.images is not None})


def _of_these_images(comparison: Comparison) -> str:
    """Return for which images a difference is decided, where these are too few to speak for others."""
    counts, others = _images(comparison), comparison.on_others
    if others is not None:
        return (
            " The intervals for other images of their kind hold for images drawn anew, too: a bootstrap draws "
            f"{'images' if others.clusters == others.images else 'whole groups of images'}, the same for all rows and "
            "seeds, and its variance is added to that of the seeds."
        )
    if not counts:
        return ""
    few = f"fewer than {FEWEST} say nothing of others of their kind"
    known = f"of others of their kind, pixel counts of {FEWEST} images in {FEWEST} groups would tell"
    return f" What is decided is so on these images; {few if counts[0] < FEWEST else known}."


def _scored_on(comparison: Comparison) -> str:
    counts = _images(comparison)
    if not counts:
        return ""
    folds = len({block.fold for block in comparison.blocks if block.fold is not None})
    in_folds = f" in {folds} folds" if folds > 1 else ""
    return f" on {' or '.join(map(str, counts))} image{'' if counts == [1] else 's'}{in_folds}"


def _looks(comparison: Comparison) -> str:
    """Return after how many seeds a study that grew was looked at."""
    seen = [str(look.blocks) for look in comparison.decision.looks]
    if not seen:
        return ""
    listed = " and ".join([", ".join(seen[:-1]), seen[-1]] if len(seen) > 1 else seen)
    return (
        f" Seeds came in rounds, and the study was looked at after {listed}: a difference is as it was at the look "
        "that decided it, and the intervals of all looks hold together."
    )


def _distances(comparison: Comparison) -> str:
    """Return what the scores of boundaries count as near, in pixels, where the runs say it and it is one number."""
    told = []
    for name, key, what in (
        ("boundary_iou", "boundary_pixels", "Boundary IoU counts a band of {} pixels along boundaries."),
        ("bf_score", "bf_pixels", "The BF score lets boundaries be {} pixels apart."),
    ):
        found = {number for row in comparison.rows for run in row.runs for number in run.pixels(key)}
        if found and any(score.name == name for score in comparison.scores):
            ends = dict.fromkeys(f"{number:.3g}" for number in (min(found), max(found)))
            told.append(f" {what.format(' to '.join(ends))}")
    return "".join(told)


COSTS = (
    Column("checkerboard", "checkerboard", scaled(1, ""), -1),
    Column("parameters", "parameters", scaled(1e6, "M"), -1),
    Column("macs", "MACs", scaled(1e9, "G"), -1),
    Column("step_seconds", "step", scaled(1e-3, "ms", 0), -1),
    Column("inference_seconds", "latency", scaled(1e-3, "ms", 1), -1),
    Column("peak_memory_bytes", "peak memory", scaled(2**30, "GiB"), -1),
)


def cost_columns(comparison: Comparison) -> list[Column]:
    """Return the columns of the costs, without times where none can be compared."""
    return [c for c in COSTS if c.key not in TIMED or any(row.score(c.key) for row in comparison.rows)]


def chosen(columns: Sequence[Column], keys: str | None) -> list[Column]:
    """Return the columns with the keys of a comma-separated list, in its order; all without a list.

    Raises:
        ConfigError: A key that no column has.
    """
    if keys is None:
        return list(columns)
    known = {column.key: column for column in columns}
    for key in (words := keys.split(",")):
        if key not in known:
            raise ConfigError(unknown("column", key, known))
    return [known[key] for key in words]


def headings(comparison: Comparison, columns: Sequence[Column], versus: bool = True) -> list[str]:
    """Return the headings of :func:`cells`."""
    title = versus_title(comparison) if versus else None
    return ["decoder", *(column.title for column in columns), *([title] if title else [])]


def cells(
    comparison: Comparison,
    columns: Sequence[Column],
    bold: Callable[[str], str],
    escaped: Callable[[str], str] = str,
    versus: bool = True,
) -> list[list[str]]:
    """Return a row of texts for each decoder: its name and the columns, in bold what is decided to be better.

    With ``versus``, the difference to the baseline is the last, where there is one baseline.
    """
    rows = []
    versus = versus and comparison.baseline is not None
    for row in comparison.rows:
        line = [escaped(row.name)]
        for column in columns:
            value = row.score(column.key)
            text = "–" if value is None else escaped(column.text(value).replace("-", "−"))
            line.append(bold(text) if is_best(comparison, row, column) else text)
        rows.append([*line, *([escaped(versus_text(row, comparison))] if versus else [])])
    return rows


def is_best(comparison: Comparison, row: Row, column: Column) -> bool:
    """Return whether a cell is bold: that of the metric, where it is decided to be better than what it is held against.

    No other column is decided, and so none has a best.
    """
    return column.key == comparison.metric.name and comparison.decision.best(row.name)


def versus_text(row: Row, comparison: Comparison) -> str:
    """Return the difference in the metric to the baseline with its interval and verdict."""
    if row.name == comparison.baseline:
        return "baseline"
    if row.versus is None:
        return "–"
    return f"{difference_text(row.versus, comparison.decision.margin)}, {row.versus.verdict}"


def versus_title(comparison: Comparison) -> str | None:
    """Return the heading of the differences to the baseline; None where all pairs are compared."""
    return None if comparison.baseline is None else f"{comparison.metric.label} − {comparison.baseline}"


def further_tables(comparison: Comparison) -> dict[str, list[list[str]]]:
    """Return, by their titles, a heading and lines each: all pairs, where they are compared, and other images.

    With a baseline the differences stand beside the scores.
    """
    found = {}
    if comparison.baseline is None and comparison.decision.differences:
        found["All pairs"] = _pair_lines(comparison)
    if comparison.on_others is not None:
        found["These images, and others of their kind"] = _other_lines(comparison, comparison.on_others)
    return found


def _other_lines(comparison: Comparison, others: OnOthers) -> list[list[str]]:
    """Return for each difference what holds on these images, what on others, and how much doubt is due to images."""
    label, margin = comparison.metric.label, comparison.decision.margin
    lines = [[f"difference in {label}", "on these images", "on others of their kind", "doubt due to images"]]
    for these, other in zip(comparison.decision.differences, others.decision.differences, strict=True):
        share = others.shares.get((these.arm, these.other))
        texts = [f"{difference_text(one, margin)}, {one.verdict}" for one in (these, other)]
        lines.append([f"{these.arm} − {these.other}", *texts, "–" if share is None else f"{share:.0%}"])
    return lines


def _pair_lines(comparison: Comparison) -> list[list[str]]:
    """Return a line for each pair of rows: the pair, its difference and its verdict."""
    decision = comparison.decision
    lines = [
        [
            f"{one.arm} − {one.other}",
            difference_text(one, decision.margin),
            one.verdict,
            "–" if isnan(one.improvement) else f"{one.improvement:.2f}",
        ]
        for one in decision.differences
    ]
    return [["pair", f"difference in {comparison.metric.label}", "verdict", "P(improvement)"], *lines]


def markdown(comparison: Comparison, columns: list[Column]) -> str:
    """Return a Markdown table; below it the pairs, if all are compared, and what has to be known to read it."""
    rows = cells(comparison, columns, lambda text: f"**{text}**")
    table = [[plain(title) for title in headings(comparison, columns)], *([code(name), *rest] for name, *rest in rows)]
    further = [[[plain(text) for text in line] for line in lines] for lines in further_tables(comparison).values()]
    tables = [piped(lines) for lines in (table, *further)]
    below = "\n".join([plain(notes(comparison)), *(f"- {plain(one)}" for one in comparison.warnings)])
    return "\n\n".join([*tables, below])


def latex(comparison: Comparison, columns: list[Column], versus: bool = True) -> str:
    """Return a ``tabular`` for the package booktabs; where all pairs are compared, another with them.

    Args:
        comparison: The rows.
        columns: Those shown.
        versus: Whether the differences are shown.
    """
    header = [tex(title) for title in headings(comparison, columns, versus)]
    further = further_tables(comparison).values() if versus else []
    rows = cells(comparison, columns, lambda text: f"\\textbf{{{text}}}", tex, versus)
    tables = [[header, *rows], *([[tex(text) for text in line] for line in table] for table in further)]
    return "\n\n\\medskip\n\n".join(_tabular(table) for table in tables)


def _tabular(lines: Sequence[list[str]]) -> str:
    first, *rest = (f"{' & '.join(texts)} \\\\" for texts in lines)
    opened = f"\\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}"
    return "\n".join([opened, "\\toprule", first, "\\midrule", *rest, "\\bottomrule", "\\end{tabular}"])


def csv_text(comparison: Comparison, columns: list[Column]) -> str:
    """Return one line for each run, with plain numbers, for programs."""
    fold = ["fold"] if any(block.fold is not None for block in comparison.blocks) else []
    lines: list[list[Any]] = [["decoder", "seed", *fold, *(column.key for column in columns), "run"]]
    for row in comparison.rows:
        for run in row.runs:
            values = {**run.scores, **run.costs}
            known = (values.get(column.key) for column in columns)
            lines.append([row.name, *run.block[: 1 + len(fold)], *known, visible(str(run.path))])
    return rows.csv_text(lines)
