"""A comparison as text: Markdown for a README, CSV for programs, LaTeX (booktabs) for a paper."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan

from segup.ablation.comparison import Comparison, Row
from segup.ablation.runs import BEST
from segup.ablation.statistics import Difference, Spread
from segup.errors import ConfigError, unknown
from segup.metrics.scores import MIOU
from segup.stored import visible


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
    """Return the columns of the scores, those that are told class by class at the end."""
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
    return [*whole, *by_class]


def grouped(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """Return the columns of each table."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(column.group, []).append(column)
    return found


SCORES = "scores"
"""The group of scores that are one number."""
_SIGNS = {"higher": 1, "lower": -1, None: 0}


NOTES = (
    "Scores are those of the last checkpoint, mean ± standard deviation over seeds. The difference to the baseline is "
    "the mean of the paired differences per seed, with a t interval corrected for the number of decoders compared "
    "(Holm); a star marks an interval that excludes 0."
)
"""What the numbers are, in words."""

COSTS = (
    Column("checkerboard", "checkerboard", scaled(1, ""), -1),
    Column("parameters", "parameters", scaled(1e6, "M"), -1),
    Column("macs", "MACs", scaled(1e9, "G"), -1),
    Column("step_seconds", "step", scaled(1e-3, "ms", 0), -1),
    Column("inference_seconds", "latency", scaled(1e-3, "ms", 1), -1),
    Column("peak_memory_bytes", "peak memory", scaled(2**30, "GiB"), -1),
)


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


def cells(comparison: Comparison, columns: list[Column], bold: Callable[[str], str]) -> list[list[str]]:
    """Return a row of texts for each decoder: its name, the columns, and the best value of each column in bold."""
    best = {column.key: best_of(comparison, column) for column in columns}
    rows = []
    for row in comparison.rows:
        line = [row.name]
        for column in columns:
            value = row.score(column.key)
            text = "–" if value is None else column.text(value)
            line.append(bold(text) if row.name in best[column.key] else text)
        rows.append(line)
    return rows


def versus_text(row: Row, comparison: Comparison) -> str:
    """Return the difference in mIoU to the baseline with its interval; a star where it is more than noise."""
    if row.name == comparison.baseline:
        return "baseline"
    return "–" if row.versus is None else difference_text(row.versus)


def difference_text(value: Difference) -> str:
    """Return the mean with its interval, in the sign that headings and figures have.

    >>> difference_text(Difference(-0.0123, 0.004, 0.01, True, 3))
    '−0.012 ± 0.004 *'
    """
    mean = f"{value.mean:+.3f}".replace("-", "−")
    if isnan(value.half_width):
        return mean
    return f"{mean} ± {value.half_width:.3f}{' *' if value.significant else ''}"


def markdown(comparison: Comparison, columns: list[Column]) -> str:
    """Return a Markdown table; below it what has to be known to read it."""
    header = ["decoder", *(column.title for column in columns), f"{MIOU.label} − {comparison.baseline}"]
    lines = [pipes([plain(title) for title in header]), f"|{'---|' * len(header)}"]
    for row, texts in zip(comparison.rows, cells(comparison, columns, lambda text: f"**{text}**"), strict=True):
        lines.append(pipes([code(texts[0]), *texts[1:], versus_text(row, comparison)]))
    return "\n".join([*lines, "", NOTES, *(f"- {plain(warning)}" for warning in comparison.warnings)])


def latex(comparison: Comparison, columns: list[Column], versus: bool = True) -> str:
    """Return a ``tabular`` for the package booktabs.

    Args:
        comparison: The rows.
        columns: Those shown.
        versus: Whether the difference to the baseline is the last column.
    """
    last = [f"{MIOU.label} $-$ {tex(comparison.baseline)}"] if versus else []
    header = ["decoder", *(tex(column.title) for column in columns), *last]
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", "\\toprule", _ampersands(header), "\\midrule"]
    best = {column.key: best_of(comparison, column) for column in columns}
    for row, texts in zip(comparison.rows, cells(comparison, columns, lambda text: text), strict=True):
        line = [tex(text) for text in texts]
        for place, column in enumerate(columns, 1):
            if row.name in best[column.key]:
                line[place] = f"\\textbf{{{line[place]}}}"
        lines.append(_ampersands([*line, *([tex(versus_text(row, comparison))] if versus else [])]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def csv_text(comparison: Comparison, columns: list[Column]) -> str:
    """Return one line for each run, with plain numbers, for programs."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["decoder", "seed", *(column.key for column in columns), "run"])
    for row in comparison.rows:
        for run in row.runs:
            values = {**run.scores, **run.costs}
            writer.writerow([row.name, run.seed, *(values.get(c.key) for c in columns), visible(str(run.path))])
    return file.getvalue()


def best_of(comparison: Comparison, column: Column) -> frozenset[str]:
    """Return the names of the rows with the best mean of a column, those that read the same among them.

    None is where there is no best: one row, all rows alike, or a column without better.
    """
    means = {row.name: value.mean for row in comparison.rows if (value := row.score(column.key)) is not None}
    texts = {name: column.text(Spread(mean, nan, 1)) for name, mean in means.items() if not isnan(mean)}
    if column.better == 0 or len(set(texts.values())) < 2:
        return frozenset()
    best = (max if column.better > 0 else min)(texts, key=means.__getitem__)
    return frozenset(name for name, text in texts.items() if text == texts[best])


_MARKED = re.compile(r"[\\`*<$~]|&(?=[#\w])|\](?=[(\[:])|(?<!\w)_|_(?!\w)|#+$")


def plain(text: str) -> str:
    r"""Return text in which no character means more to Markdown, or to GitHub's formulas, than itself.

    >>> print(plain("<b> a_b $x$ [c](d) *e*"))
    \<b> a_b \$x\$ [c\](d) \*e\*
    """
    return _MARKED.sub(lambda found: "".join(f"\\{sign}" for sign in found.group()), text)


def pipes(texts: list[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def code(text: str) -> str:
    """Return a Markdown code span; a text with backticks stands between more of them (CommonMark 0.31, 6.1).

    >>> print(code("deconv"), code("a`b"))
    `deconv` `` a`b ``
    """
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(len(run) for run in re.findall("`+", text)))
    return f"{fence} {text} {fence}"


def _ampersands(texts: list[str]) -> str:
    return f"{' & '.join(texts)} \\\\"


_TEX = {
    **{sign: f"\\{sign}" for sign in "_&%$#{}"},
    "\0": "{}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": "$\\pm$",
    "−": "$-$",
    "×": "$\\times$",
    "–": "--",
    "*": "$^*$",
    "`": "\\textasciigrave{}",
    "'": "\\textquotesingle{}",
    '"': "\\textquotedbl{}",
}
_NEGATIVE = re.compile(r"(?<![\w-])-(?=\.?\d)")


def tex(text: str) -> str:
    r"""Return text in which no character means more to LaTeX than itself.

    >>> print(tex("a_b & 50% ± {c}"))
    a\_b \& 50\% $\pm$ \{c\}
    >>> print(tex("lr=-0.002, one-cycle"))
    lr=$-$0.002, one-cycle
    """
    apart = text.replace("--", "-\0-").replace("--", "-\0-")  # two hyphens would be one dash
    return "".join(_TEX.get(sign, sign) for sign in _NEGATIVE.sub("−", apart))
