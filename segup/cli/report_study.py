"""``segup report``: the report of a study, at any time."""

import argparse
from pathlib import Path

from segup.cli.help_text import HelpFormatter
from segup.cli.report import run_reported

_EPILOG = """\
examples:
  segup report ablations/ablation
  segup report ablations/ablation --baseline bilinear

Into the study's folder go report.html (one page that needs no network), report.md, report.csv (a line for each run),
report.tex (tables for the package booktabs) and figures/ (PNG and SVG). A sweep writes them when it ends. A study that
has not finished is told as far as it is there, with the state of every run and the cause of each that failed. A report
takes the place of the one before it, and of no other file.
"""


def run(arguments: list[str]) -> int:
    """Write the report as the arguments say and return the exit code."""
    options = _parser().parse_args(arguments)
    return run_reported(lambda: _report(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segup report",
        description="Write the report of a study: the table, figures, pictures, and what was run.",
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="the study's folder, ablations/<name>")
    parser.add_argument(
        "--baseline", metavar="DECODER", help="what the others are held against (default: the study's own)"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module outside segup that the checkpoints name and that may be imported, which runs its code, to show "
        "their pictures; may be repeated",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files of the report's names that segup report did not write"
    )
    return parser


def _report(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.text import Text

    from segup.ablation.report import write_report
    from segup.stored import visible

    written = write_report(options.study, options.baseline, options.trust, options.overwrite)
    Console().print(Text(visible(f"report: {written}")), soft_wrap=True)
