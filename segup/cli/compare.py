"""``segup compare``: finished runs side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from segup.cli.help_text import HelpFormatter
from segup.cli.report import run_reported

if TYPE_CHECKING:
    from rich.table import Table

    from segup.ablation.comparison import Comparison
    from segup.ablation.tables import Column

_EPILOG = """\
examples:
  segup compare outputs/train/*/*
  segup compare outputs/train/*/* --baseline bilinear --format markdown
  segup compare RUN RUN --format latex --columns miou,boundary_iou,parameters

Runs of one decoder are one row, their seeds its spread. What forbids a comparison (another crop, schedule or data set)
is said below the table; runs that have not finished are refused.
"""


def run(arguments: list[str]) -> int:
    """Compare as the arguments say and return the exit code."""
    options = _parser().parse_args(arguments)
    return run_reported(lambda: _compare(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segup compare",
        description="Set finished runs side by side: scores, costs, and whether a difference is more than noise.",
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--baseline", metavar="ROW", help="what the others are held against (default: the first row)")
    parser.add_argument("--format", choices=("table", "markdown", "csv", "latex"), default="table", dest="form")
    parser.add_argument(
        "--columns", metavar="KEY,...", help="of the markdown, csv or latex, as csv names them (default: all)"
    )
    return parser


def _compare(options: argparse.Namespace) -> None:
    from segup.ablation.comparison import compare
    from segup.ablation.runs import read_run
    from segup.ablation.tables import COSTS, NOTES, chosen, csv_text, latex, markdown, score_columns

    comparison = compare([read_run(path) for path in options.runs], options.baseline)
    scores = score_columns(comparison)
    if options.form != "table":
        columns = chosen([*scores, *COSTS], options.columns)
        write = {"markdown": markdown, "csv": csv_text, "latex": latex}[options.form]
        print(write(comparison, columns).rstrip("\n"))
        return

    from rich.console import Console

    console = Console()
    console.print(_table("mIoU", comparison, scores[:2], versus=True))
    console.print(_table("Other scores", comparison, scores[2:5]))
    console.print(_table("IoU by class", comparison, scores[5:]))
    console.print(_table("Costs", comparison, list(COSTS)))
    for line in (NOTES, *comparison.warnings):
        console.print(line, highlight=False)


def _table(title: str, comparison: "Comparison", columns: "list[Column]", versus: bool = False) -> "Table":
    from rich.table import Table

    from segup.ablation.tables import cells, versus_text

    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("decoder", overflow="fold")
    for column in columns:
        table.add_column(column.title, justify="right")
    if versus:
        table.add_column(f"mIoU − {comparison.baseline}", justify="right")
    texts = cells(comparison, columns, lambda text: f"[bold]{text}[/bold]")
    for row, line in zip(comparison.rows, texts, strict=True):
        table.add_row(*line, *([versus_text(row, comparison)] if versus else []))
    return table
