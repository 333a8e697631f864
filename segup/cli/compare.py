"""``segup compare``: finished runs side by side."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import argument, command
from segup.cli.model_options import criterion_arguments, criterion_of
from segup.cli.report import run_reported
from segup.errors import DataError
from segup.stored import visible
from segup.tables import first_of

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from segup.ablation.comparison import Comparison
    from segup.ablation.runs import Run
    from segup.ablation.study import Study

_EPILOG = """\
examples:
  segup compare outputs/train/*/*
  segup compare outputs/train/*/* --baseline bilinear --format markdown
  segup compare ablations/ablation
  segup compare ablations/ablation --baseline all --margin 0.01
  segup compare RUN RUN --format latex --columns miou,boundary_iou,parameters

The runs of one decoder are one row, and their seeds give its spread. The lines below the table say why runs cannot be
compared: another crop, schedule or data set. A run that has not finished is refused. The folder of a study means all
its finished runs. If it is the only argument, names and baseline are those of its report. Runs of one study with seeds
in rounds are decided in its looks; where other runs are among them, a line says that they are not.
"""


def run(arguments: list[str]) -> int:
    """Compare as the arguments say and return the exit code."""
    return run_reported(_compare, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "compare",
        "Compare finished runs: scores, costs, and which differences are decided.",
        _EPILOG,
        argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or the folder of a study"),
        *criterion_arguments("ROW", "the first row"),
        argument("--format", choices=("table", "markdown", "csv", "latex"), default="table", dest="form"),
        argument(
            "--columns",
            metavar="KEY,...",
            help="columns of the markdown, csv or latex, by their names in csv (default: all)",
        ),
    )


def _compare(options: argparse.Namespace) -> None:
    from segup.ablation import tables
    from segup.ablation.markup import plain

    comparison = _comparison(options.runs, options.baseline, criterion_of(options))
    scores, costs = tables.score_columns(comparison), tables.cost_columns(comparison)
    if options.form != "table":
        columns = tables.chosen([*scores, *costs], options.columns)
        write = {"markdown": tables.markdown, "csv": tables.csv_text, "latex": tables.latex}[options.form]
        said = {"markdown": f"{plain(comparison.conclusion)}\n\n", "latex": f"% {comparison.conclusion}\n"}
        print(said.get(options.form, "") + write(comparison, columns).rstrip("\n"))
        if options.form != "markdown":  # which holds them
            for line in comparison.warnings:
                print(line, file=sys.stderr)
        return

    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(comparison.conclusion))
    grouped = tables.grouped([*scores, *costs])
    first, others = grouped[tables.SCORES][:2], grouped.pop(tables.SCORES)[2:]
    for title, columns in {first[0].title: first, "Other scores": others, **grouped}.items():
        versus = columns is first
        texts = tables.cells(comparison, columns, lambda text: f"[bold]{text}[/bold]", versus=versus)
        lines: list[list[str | Text]] = [[Text(name), *rest] for name, *rest in texts]
        shown = title if versus else f"{title[0].upper()}{title[1:]}"
        console.print(_table(shown, tables.headings(comparison, columns, versus), lines))
    for title, (heading, *texts) in tables.further_tables(comparison).items():
        console.print(_table(title, heading, (map(Text, line) for line in texts)))
    for line in (tables.notes(comparison), *comparison.warnings):
        console.print(Text(line))


def _comparison(paths: list[Path], baseline: str | None, changes: dict[str, Any]) -> "Comparison":
    from segup.ablation.comparison import compare, compare_study
    from segup.ablation.criterion import stored_criterion
    from segup.ablation.runs import read_run
    from segup.ablation.study import FILE, read_study

    for path in paths:
        _check_no_report(path)
    studies = {path: read_study(path) for path in paths if (path / FILE).is_file()}
    groups = {path: _finished(study) for path, study in studies.items()}
    if len(paths) == 1 and studies:
        found = compare_study(studies[paths[0]], baseline, **changes)
        assert found is not None  # a study without a finished run was refused
        return found
    runs = []
    for path in paths:
        members = groups[path].values() if path in groups else [[read_run(path)]]
        runs += [run for one in members for run in one]
    return compare(runs, baseline, stored_criterion({}, **changes))


def _check_no_report(path: Path) -> None:
    """Raise a DataError for what a study's folder holds beside its runs, which ``STUDY/*/*`` names too."""
    from segup.ablation.study import FILE

    if any((path / name).is_file() for name in (FILE, "config.yaml", "result.json")) or any(path.glob("*/result.json")):
        return
    study = next((folder for folder in path.parents if (folder / FILE).is_file()), None)
    if study is not None and path.exists():
        raise DataError(f"{path} is no run folder, it belongs to the study {study}.\n  try: {study}")


def _finished(study: "Study") -> "dict[str, list[Run]]":
    """Return the finished runs of a study by label; those that have not finished are named on standard error."""
    found = study.finished()
    open_ones = [f"{member.name} ({member.state})" for member in study.members if not member.run]
    if not found:
        command = study.settings.get("command") or "the command that began it"
        raise DataError(
            f"the study {study.path} has no finished run: {first_of(open_ones, 20) or 'it has no runs'}.\n"
            f"  try: {command} (the same command continues it)"
        )
    if open_ones:
        print(visible(f"{study.path}: left out, not finished: {first_of(open_ones, 20)}"), file=sys.stderr)
    return found


def _table(title: str, heading: list[str], rows: "Iterable[Iterable[str | Text]]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for place, text in enumerate(heading):
        table.add_column(Text(text), overflow="fold", justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
