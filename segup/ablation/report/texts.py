"""A report as Markdown, CSV and LaTeX."""

import re
from collections.abc import Sequence
from math import ceil, isnan
from typing import Any

from segup.ablation.comparison import Comparison
from segup.ablation.images import counts_of, image_miou
from segup.ablation.markup import code, piped, plain, tex
from segup.ablation.report.content import Facts, Figure, StudyReport
from segup.ablation.tables import SCORES, Column, grouped, latex, markdown, notes
from segup.ablation.times import measured_on
from segup.metrics.scores import MIOU
from segup.stored import visible
from segup.tables import duration
from segup.training.rows import csv_text

FIGURES = "figures"
"""The folder beside the report with its figures."""
UNITS = (
    "Parameters, multiply-accumulates (one training crop), a training step and peak memory are of the whole model; "
    "latency is the time of one image of the crop's size in evaluation mode. Checkerboard is the share of a "
    f"constant's energy that becomes a pattern. Best (optimistic) is the best checkpoint's {MIOU.label}, chosen on the "
    "images that it is scored on."
)
SOURCES = (
    "Boundary IoU: Cheng et al., CVPR 2021; BF score: Csurka et al., BMVC 2013; intervals: Šidák, J. Am. Stat. Assoc. "
    "1967, with variances by Grubbs, J. Am. Stat. Assoc. 1948."
)
"""What the scores and intervals are taken from."""
_ABREAST = 4
"""Columns with means and deviations that a page's text is wide, beside the name."""
_LISTED = 8


def as_markdown(report: StudyReport, figures: Sequence[Figure], missing: Sequence[str]) -> str:
    """Return the report as Markdown; its figures lie in the folder :data:`FIGURES` beside it.

    Args:
        report: What is told.
        figures: Those that were drawn.
        missing: What could not be shown.
    """
    parts = [f"# {plain(report.title)}", plain(report.verdict)]
    if report.comparison is not None:
        parts.append(markdown(report.comparison, report.columns))
        parts += [f"- {plain(warning)}" for warning in report.warnings if warning not in report.comparison.warnings]
        parts += [
            f"{plain(setting(report))} {SOURCES}",
            plain(units(report)),
            "## Seed by seed",
            _seeds(report.comparison),
        ]
    else:
        parts += [f"- {plain(warning)}" for warning in report.warnings]
    if report.unfinished:
        parts += ["## Unfinished runs", _unfinished(report)]
    for figure in figures:
        parts += [f"## {figure.title}", f"![{plain(figure.seen)}]({FIGURES}/{figure.name}.png)"]
        parts.append(f"{figure.caption} {plain(setting(report))}".rstrip())
    if missing:
        parts += ["## Not shown", "\n".join(f"- {plain(_line(line))}" for line in missing)]
    return "\n\n".join([*parts, "## What was run", _facts(report.facts)]) + "\n"


def as_csv(report: StudyReport) -> str:
    """Return a line for each run that was asked for, with plain numbers, for programs; empty where nothing is known."""
    columns = [column.key for column in report.columns]
    widths = sorted({width for member in report.study.members if member.run for width in member.run.bands})
    rows = () if report.comparison is None else report.comparison.rows
    times = {row.name: {key: one.mean for key, one in (row.times or {}).items()} for row in rows}
    bands = [f"band_iou/{width}" for width in widths]
    fold = ["fold"] if any(member.fold is not None for member in report.study.members) else []
    lines: list[list[Any]] = [["decoder", "seed", *fold, "state", *columns, *bands, "wall_seconds", "cause", "run"]]
    for member in report.study.members:
        run = member.run
        known = {} if run is None else {**run.scores, **run.costs, **times.get(member.label, {})}
        around = {} if run is None else run.bands
        lines.append([
            member.label, member.seed, *[member.fold for _ in fold], member.state, *(known.get(key) for key in columns),
            *(around.get(width) for width in widths), member.wall_seconds, member.cause,
            visible(str(member.path.relative_to(report.study.path))),
        ])  # fmt: skip
    return csv_text(lines)


def as_image_csv(report: StudyReport) -> str:
    """Return a line for each run and validation image, with its mIoU and pixel counts; empty where none has any.

    ``both`` are the pixels to which target and prediction give a class; ``predicted`` and ``true`` those of each.
    """
    runs = [member.run for member in report.study.members if member.run is not None]
    classes = runs[0].result["classes"] if runs else []
    names = [f"{kind}/{name}" for name in classes for kind in ("both", "predicted", "true")]
    lines: list[list[Any]] = []
    for member in report.study.members:
        for one in counts_of(member.run) if member.run is not None else ():
            counts = {number: numbers for number, *numbers in one.classes}
            told = [number for place in range(len(classes)) for number in counts.get(place, (0, 0, 0))]
            lines.append([member.label, *member.block, one.image, one.group, image_miou(one), *told])
    return csv_text([["decoder", "seed", "fold", "image", "group", MIOU.name, *names], *lines]) if lines else ""


def as_latex(report: StudyReport) -> str:
    """Return tables for a paper: scores, classes and costs, each a float of its own; needs the package booktabs.

    A float with more columns than a page's text is wide has them in several tables, one below the other.
    """
    lines = [f"% {tex(report.title)}: {tex(report.verdict)}", "% needs \\usepackage{booktabs}"]
    lines += [f"% {_line(warning)}" for warning in report.warnings]
    if report.comparison is None:
        return "\n".join([*lines, ""])
    told = {SCORES: f"{report.comparison.conclusion} {notes(report.comparison)} {SOURCES}", "costs": units(report)}
    for group, columns in grouped(report.columns).items():
        caption = told.get(group) or f"{group.replace('by class', 'class by class')} of the last checkpoint."
        name = group if group in told else "classes" if group == "IoU by class" else _word(group)
        lines += ["", *_float(report, name, columns, f"{caption} {setting(report)}".rstrip())]
    return "\n".join([*lines, ""])


def setting(report: StudyReport) -> str:
    """Return on what and with what the rows were trained, for captions that are read alone.

    Data, encoder and topology where all rows share them, and the seeds.
    """
    shared = report.facts.shared
    words = [f"{name} {shared[name]}" for name in ("data", "encoder", "topology") if name in shared]
    seeds = report.facts.seeds
    listed = ", ".join(map(str, seeds)) if len(seeds) <= _LISTED else f"{seeds[0]} to {seeds[-1]} ({len(seeds)})"
    text = ", ".join([*words, f"seed{'' if len(seeds) == 1 else 's'} {listed}"])
    return f"{text[0].upper()}{text[1:]}."


def units(report: StudyReport) -> str:
    """Return what the costs are, on what times were measured or why there are none, and what a repetition changes."""
    told = "Times are not shown: they have not been measured when nothing else of the study ran."
    if report.times is not None:
        told = (
            f"Times were measured when nothing else of the study ran, on {measured_on(report.times)}: the decoders "
            "took turns in one process; the median of the turns, ± one standard deviation over them."
        )
    return f"{UNITS} {told} {report.floor}".rstrip()


def versions(facts: Facts) -> dict[str, str]:
    """Return the facts that are a name and a value."""
    seeds = ", ".join(map(str, facts.seeds))
    together = {"all rows": ", ".join(f"{name} {value}" for name, value in facts.shared.items())}
    return {
        **(together if facts.shared else {}),
        "seeds": seeds,
        "time of all runs": duration(facts.wall_seconds),
        **facts.environment,
    }


def _float(report: StudyReport, name: str, columns: list[Column], caption: str) -> list[str]:
    comparison = report.comparison
    assert comparison is not None
    count = len(columns) + 2 * (name == SCORES and comparison.baseline is not None)  # an interval is wide
    each = ceil(count / ceil(count / _ABREAST))
    parts = [
        latex(comparison, columns[first : first + each], versus=name == SCORES and first + each >= count)
        for first in range(0, count, each)
    ]
    return [
        "\\begin{table}",
        "\\centering",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{4pt}",
        "\n\n\\medskip\n\n".join(parts),
        f"\\caption{{{tex(report.study.name)}: {tex(caption)}}}",
        f"\\label{{tab:{_word(report.study.name)}-{name}}}",
        "\\end{table}",
    ]


def _seeds(comparison: Comparison) -> str:
    metric = comparison.metric
    blocks = comparison.blocks
    if len(blocks) > 12:
        return f"{metric.label} of each of the {len(blocks)} seeds is in `report.csv`."
    return piped(
        [[metric.label, *map(str, blocks)], *([code(name), *texts] for name, *texts in block_lines(comparison))]
    )


def _unfinished(report: StudyReport) -> str:
    lines = [
        [code(member.label), member.block.short, member.state, plain(_line(member.cause or ""))]
        for member in report.unfinished
    ]
    return piped([["decoder", "seed", "state", "cause"], *lines])


def _facts(facts: Facts) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", facts.command)), default=0))
    lines = [f"{fence}text\n{facts.command}\n{fence}"] if facts.command else []
    told = [
        f"- {code(label)}: " + ", ".join(code(f"{key}={value}") for key, value in own.items())
        for label, own in facts.differences.items()
        if own
    ]
    lines += ["What differs between the rows:", "\n".join(told)] if told else []
    for title, said in (("Matched widths", facts.matched), ("Start of the operators", facts.start)):
        lines += (
            [f"{title}:", "\n".join(f"- {code(label)}: {plain(text)}" for label, text in said.items())] if said else []
        )
    lines.append("\n".join(f"- {name}: {plain(value)}" for name, value in versions(facts).items()))
    return "\n\n".join(lines)


def block_lines(comparison: Comparison) -> list[list[str]]:
    """Return the name of each row and its score in each of the comparison's blocks."""
    lines = []
    for row in comparison.rows:
        scores = {run.block: run.scores.get(comparison.metric.name) for run in row.runs}
        found = [scores.get(block) for block in comparison.blocks]
        lines.append([row.name, *("–" if value is None or isnan(value) else f"{value:.4f}" for value in found)])
    return lines


def _line(text: str) -> str:
    return " ".join(text.split())


def _word(text: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in text)
