"""A report as one HTML page that needs no network: styles, script and pictures are in it."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from math import isnan
from string import Template

from segup.ablation import tables
from segup.ablation.comparison import Comparison, Row
from segup.ablation.report.content import WORST, Facts, Figure, StudyReport, shown_rows
from segup.ablation.report.style import in_both_schemes, inline
from segup.ablation.report.texts import SOURCES, block_lines, units, versions
from segup.tables import counted, duration


def as_html(report: StudyReport, figures: Sequence[Figure], missing: Sequence[str]) -> str:
    """Return the page.

    Args:
        report: What is told.
        figures: Those that were drawn.
        missing: What could not be shown.
    """
    sections = [
        *_table_section(report, figures),
        *_unfinished(report),
        *((figure.name, figure.title, _figure(figure)) for figure in figures if not figure.name.startswith(WORST)),
        *_worst(figures),
        *((("not-shown", "Not shown", f"<h2>Not shown</h2><ul>{_items(missing)}</ul>"),) if missing else ()),
        ("what-was-run", "What was run", _facts(report.facts)),
    ]
    here = files("segup.ablation.report")
    return Template((here / "page.html").read_text()).substitute(
        title=escape(report.title),
        heading=escape(report.study.name),
        compared=escape(report.compared),
        lead=escape(report.verdict),
        tiles=_tiles(report),
        switches=_switches(report, figures),
        warnings=f'<ul class="warnings" aria-label="Warnings">{_items(report.warnings)}</ul>'
        if report.warnings
        else "",
        links="".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in sections),
        body="\n".join(f'<section id="{name}">{content}</section>' for name, _, content in sections),
        style=(here / "page.css").read_text(),
        script=(here / "page.js").read_text(),
    )


def _switches(report: StudyReport, figures: Sequence[Figure]) -> str:
    """Return what the script makes switches of: the rows of the figures with their score, hidden without a script."""
    if report.comparison is None or not any(figure.svg for figure in figures):
        return ""
    column = tables.score_columns(report.comparison)[0]
    lines = []
    for place, row in enumerate(shown_rows(report.comparison)):
        score = row.score(column.key)
        told = "" if score is None else f", {column.title} {column.text(score)}"
        name = escape(row.name)
        lines.append(
            f'<label title="{name}{escape(told)}"><input type="checkbox" checked data-row="{place}"> {name}</label>'
        )
    return f'<fieldset class="rows" hidden><legend>Rows in the figures</legend>{"".join(lines)}</fieldset>'


def _tiles(report: StudyReport) -> str:
    seeds, members = report.facts.seeds, report.study.members
    told = [
        ("runs finished", f"{len(members) - len(report.unfinished)} of {len(members)}", ""),
        ("baseline", report.baseline, ""),
        ("seeds", ", ".join(map(str, seeds[:8])) + (" …" if len(seeds) > 8 else ""), ""),
        ("time of all runs", duration(report.facts.wall_seconds), ""),
    ]
    if report.comparison is not None and (found := report.comparison.decision.differences):
        decided = sum(one.verdict != "undecided" for one in found)
        told.insert(0, ("differences decided", f"{decided} of {len(found)}", f"in {report.comparison.metric.label}"))
    tiles = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in told
    )
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def _table_section(report: StudyReport, figures: Sequence[Figure]) -> Iterable[tuple[str, str, str]]:
    comparison = report.comparison
    if comparison is None:
        return
    further = tables.further_tables(comparison).items()
    worst = {one.of_row: one.name for one in figures if one.of_row}
    yield (
        "table", "Table",
        f'<h2>Scores and costs</h2>{_table(comparison, worst)}'
        f'{"".join(f"<h3>{title}</h3>{_plain(title, *lines)}" for title, lines in further)}'
        f'<p class="note">{escape(tables.notes(comparison))} {escape(SOURCES)} {escape(units(report))}</p>'
        f"<details><summary>Seed by seed</summary>{_seeds(comparison)}</details>",
    )  # fmt: skip


def _table(comparison: Comparison, worst: Mapping[str, str]) -> str:
    groups = list(tables.grouped([*tables.score_columns(comparison), *tables.cost_columns(comparison)]).items())
    heads, tops = ['<th scope="col" data-kind="text"><button type="button">decoder</button></th>'], ["<th></th>"]
    versus = tables.versus_title(comparison)
    sign = 1 if comparison.decision.better == "higher" else -1
    head = f'<th scope="col" data-better="{sign}"><button type="button">{escape(versus or "")}</button></th>'
    for title, columns in groups:
        extra = title == tables.SCORES and versus is not None
        tops.append(f'<th scope="colgroup" colspan="{len(columns) + extra}">{escape(title)}</th>')
        for place, column in enumerate(columns):
            short = column.title
            if title != tables.SCORES:
                short = short.removeprefix(title.removesuffix("by class"))
            first = ' class="first"' if place == 0 else ""
            about = f' title="{escape(column.about)}"' if column.about else ""
            heads.append(
                f'<th scope="col"{first}{about} data-better="{column.better}">'
                f'<button type="button">{_breakable(short)}</button></th>'
            )
            heads += [head] if extra and place == 0 else []
    lines = "".join(f"<tr>{_row(row, comparison, groups, worst.get(row.name))}</tr>" for row in comparison.rows)
    return _scrolling(
        "Scores and costs of every decoder",
        f'<table data-sortable><thead><tr class="groups">{"".join(tops)}</tr><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{lines}</tbody></table>",
    )


def _row(row: Row, comparison: Comparison, groups: Sequence[tuple[str, list[tables.Column]]], worst: str | None) -> str:
    seeds = counted(len(set(row.seeds)), "seed")
    name = escape(row.name) if worst is None else f'<a href="#{worst}">{escape(row.name)}</a>'
    found = [f'<th scope="row" data-value="{escape(row.name)}">{name}<small>{seeds}</small></th>']
    for title, columns in groups:
        for place, column in enumerate(columns):
            value = row.score(column.key)
            marked = tables.is_best(comparison, row, column)
            kind = " ".join([*(["first"] if place == 0 else []), *(["best"] if marked else [])])
            css = f' class="{kind}"' if kind else ""
            number = "" if value is None or isnan(value.mean) else repr(value.mean)
            text = "–" if value is None else column.text(value)
            found.append(f'<td{css} data-value="{number}">{_two_lines(text, marked)}</td>')
            if title == tables.SCORES and place == 0 and comparison.baseline is not None:
                found.append(_versus(row, comparison))
    return "".join(found)


def _versus(row: Row, comparison: Comparison) -> str:
    if row.name == comparison.baseline:
        return '<td data-value="0">baseline</td>'
    if row.versus is None:
        return '<td data-value="">–</td>'
    told = counted(row.versus.pairs, "seed")
    if not isnan(row.versus.improvement):  # as before the first look
        told += f"; probability of improvement {row.versus.improvement:.2f}"
    mean, _, rest = tables.versus_text(row, comparison).partition(" ")
    text = f"{escape(mean)}<small>{escape(rest)}</small>"
    return f'<td data-value="{row.versus.mean!r}" title="{told}">{text}</td>'


def _plain(label: str, heading: Sequence[str], *lines: Sequence[str]) -> str:
    """Return a table of texts; the first of each line is the line's heading."""
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in heading)
    rows = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>{"".join(f"<td>{escape(text)}</td>" for text in line[1:])}</tr>'
        for line in lines
    )
    return _scrolling(label, f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")


def _scrolling(label: str, table: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'


def _two_lines(text: str, bold: bool) -> str:
    """Return the mean with its deviation below it; a unit stands with the deviation."""
    mean, sign, rest = text.replace("-", "−").partition(" ± ")
    shown = f"<strong>{escape(mean)}</strong>" if bold else escape(mean)
    return f"{shown}<small>± {escape(rest)}</small>" if sign else shown


def _seeds(comparison: Comparison) -> str:
    label = comparison.metric.label
    return _plain(f"{label} of every seed", [label, *map(str, comparison.blocks)], *block_lines(comparison))


def _unfinished(report: StudyReport) -> Iterable[tuple[str, str, str]]:
    if not report.unfinished:
        return
    lines = "".join(
        f'<tr><th scope="row">{escape(member.label)}</th><td class="number">{member.block.short}</td>'
        f"<td{' class=failed' if member.state == 'failed' else ''}>{member.state}</td>"
        f"<td>{escape(member.cause or '')}</td></tr>"
        for member in report.unfinished
    )
    yield (
        "unfinished", "Unfinished runs",
        f"<h2>Unfinished runs</h2><p>{escape(report.progress)}.</p>"
        + _scrolling(
            "Unfinished runs",
            '<table class="plain"><thead><tr><th scope="col">decoder</th><th scope="col">seed</th>'
            f'<th scope="col">state</th><th scope="col">cause</th></tr></thead><tbody>{lines}</tbody></table>',
        ),
    )  # fmt: skip


def _figure(figure: Figure) -> str:
    chart, name, seen = figure.svg is not None, escape(figure.title), escape(figure.seen)
    if figure.svg is not None:
        drawing = inline(in_both_schemes(figure.svg), seen)
    else:
        source = f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
        drawing = f'<img src="{source}" alt="{seen}" width="{figure.width}" height="{figure.height}">'
    paper = f'class="paper{"" if chart else " pixels"}" tabindex="0" role="region" aria-label="{name}"'
    return (
        f'<figure class="{"chart" if chart else "pixels"}">'
        f"<figcaption><h2>{name}</h2>{escape(figure.caption)}</figcaption>"
        f"<div {paper}>{drawing}</div></figure>"
    )


def _worst(figures: Sequence[Figure]) -> Iterable[tuple[str, str, str]]:
    """Return a section with the worst images of each row, folded; a row of the table leads to its own."""
    found = [figure for figure in figures if figure.name.startswith(WORST)]
    if found:
        parts = "".join(
            f'<details id="{one.name}"><summary>{escape(one.title)}</summary>{_figure(one)}</details>' for one in found
        )
        yield "worst", "Worst images", f"<h2>Worst images, row by row</h2>{parts}"


def _breakable(title: str) -> str:
    """Return a heading that may break inside its long words, and is read aloud as one."""
    return (
        escape(title)
        .replace("checkerboard", "checker&shy;board")
        .replace("optimistic", "opti&shy;mistic")
        .replace("parameters", "para&shy;meters")
    )


def _facts(facts: Facts) -> str:
    parts = ["<h2>What was run</h2>"]
    if facts.command:
        parts.append(f"<pre>{escape(facts.command)}</pre>")
    parts.append(_terms(versions(facts)))
    own = {
        label: " ".join(f"<code>{escape(f'{key}={value}')}</code>" for key, value in settings.items())
        for label, settings in facts.differences.items()
        if settings
    }
    if own:
        parts.append("<h3>What differs between the rows</h3>" + _terms(own, raw=True))
    for title, said in (("Matched widths", facts.matched), ("Start of the operators", facts.start)):
        if said:
            parts.append(f"<h3>{title}</h3>{_terms(said)}")
    return "".join(parts)


def _terms(pairs: Mapping[str, str], raw: bool = False) -> str:
    told = (f"<dt>{escape(name)}</dt><dd>{value if raw else escape(value)}</dd>" for name, value in pairs.items())
    return f'<dl class="facts">{"".join(told)}</dl>'


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)
