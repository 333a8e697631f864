"""What differences are decided by, as ``segup compare`` and ``segup report`` take it."""

import argparse
from typing import Any

from segup.cli.help_text import Argument, argument


def criterion_arguments(row: str, default: str) -> list[Argument]:
    """Return ``--baseline``, ``--metric``, ``--margin`` and ``--level`` of a command.

    Args:
        row: What a baseline is called.
        default: Which it is where none is given.
    """
    return [
        argument(
            "--baseline",
            metavar=row,
            help=f"the {row.lower()} to compare with, or all: every pair (default: {default})",
        ),
        argument("--metric", metavar="SCORE", help="the score that is decided (default: miou, or the study's)"),
        argument(
            "--margin", type=float, metavar="M", help="differences within it are equal (default: 0.005, or the study's)"
        ),
        argument(
            "--level",
            type=float,
            metavar="P",
            help="the probability that all intervals hold (default: 0.95, or the study's)",
        ),
    ]


def criterion_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return metric, margin and level as they were typed; None where they were not.

    Raises:
        ConfigError: A margin or level that cannot be.
    """
    from segup.calls import check
    from segup.statistics.decision import Level, Margin

    check("--margin", Margin | None, options.margin)
    check("--level", Level | None, options.level)
    return {"metric": options.metric, "margin": options.margin, "level": options.level}
