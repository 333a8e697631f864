"""``segup report``: the report of a study, at any time."""

import argparse
from pathlib import Path

from segup.cli.help_text import argument, command
from segup.cli.model_options import criterion_arguments, criterion_of
from segup.cli.report import run_reported, say

_EPILOG = """\
examples:
  segup report ablations/ablation
  segup report ablations/ablation --baseline bilinear

The report is in the folder of the study: report.html (one page that needs no network), report.md, report.csv (a line
for each run), report.tex (tables for the package booktabs) and figures/ (PNG and SVG). A sweep writes them when it
ends. If the study has not finished, the report shows the finished runs, the state of every run, and the cause of each
failure. A new report replaces the old report, and no other file.
"""


def run(arguments: list[str]) -> int:
    """Write the report as the arguments say and return the exit code."""
    return run_reported(_report, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "report",
        "Write the report of a study: the table, figures, pictures, and the runs.",
        _EPILOG,
        argument("study", type=Path, metavar="STUDY", help="the folder of the study, ablations/<name>"),
        *criterion_arguments("DECODER", "the baseline of the study"),
        argument(
            "--trust",
            action="append",
            default=[],
            metavar="MODULE",
            help="a module outside segup that the checkpoints name and that may be imported to show their pictures; "
            "importing it runs its code; may be repeated",
        ),
        argument(
            "--overwrite",
            action="store_true",
            help="replace files with the names of the report that segup report did not write",
        ),
    )


def _report(options: argparse.Namespace) -> None:
    from segup.ablation.report import write_report

    written = write_report(options.study, options.baseline, options.trust, options.overwrite, **criterion_of(options))
    say(f"report: {written}")
