"""Arguments that several commands take: the model, how it is run over an image, what differences are decided by."""

import argparse
import math
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import Argument, argument
from segup.registry import THE_FILE

if TYPE_CHECKING:
    from segup.evaluation.segment import Inference


def model_arguments(*, exported: bool = True) -> list[Argument]:
    """Return the run, and what opening it takes; ``exported``: it may be an exported file, on any device."""
    unknown = "; without a module: an exported file that segup did not write, or a .pt2" if exported else ""
    bare: dict[str, Any] = {"nargs": "?", "const": THE_FILE} if exported else {}
    also = ", or an exported file (segup export)" if exported else ""
    return [
        argument("run", metavar="RUN", help=f"a run folder or a checkpoint{also}"),
        argument(
            "--checkpoint",
            choices=("last", "best"),
            help="which checkpoint of a run folder: last (default; a run reports its scores), or best, which the "
            "validation images chose",
        ),
        *(
            [
                argument(
                    "--device",
                    choices=("auto", "cpu", "cuda"),
                    default="auto",
                    help="auto: a GPU if there is one; an exported file runs on the CPU",
                )
            ]
            if exported
            else []
        ),
        argument(
            "--trust",
            action="append",
            default=[],
            **bare,
            metavar="MODULE",
            help="a module outside segup that the checkpoint names and that may be imported; importing it runs its "
            f"code; may be repeated{unknown}",
        ),
    ]


def inference_arguments() -> list[Argument]:
    """Return how the model is run over an image."""
    return [
        argument(
            "--window",
            type=window,
            metavar="N|H,W",
            help="run large images in overlapping windows of this height and width, averaged with Gaussian weights; "
            "smaller images run whole",
        ),
        argument(
            "--overlap",
            type=float,
            metavar="SHARE",
            help="smallest overlap of neighbouring windows as a share, from 0 to below 1 (default: 0.5)",
        ),
        argument("--batch-size", type=int, metavar="N", help="windows that run at once (default: 1)"),
        argument(
            "--tta",
            action="store_true",
            help="average over each image and the reflections that training used (its data.augment); each reflection "
            "doubles the work",
        ),
    ]


def inference_of(options: argparse.Namespace) -> "Inference":
    """Return how the model is run, from window, overlap and batch size.

    Raises:
        ConfigError: A number out of its range, or one of windows where there are none: it would have no effect.
    """
    from segup.errors import ConfigError
    from segup.evaluation.segment import Inference

    given = {name: value for name in ("overlap", "batch_size") if (value := getattr(options, name)) is not None}
    how = Inference(options.window, **given)
    if given and how.window is None:
        typed = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in given.items())
        raise ConfigError(f"{typed} is of windows, and there are none.\n  try: --window 512 {typed}")
    return how


def positive(text: str) -> int:
    """Return an int of 1 or more.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    >>> positive("12")
    12
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no integer of 1 or more")
    return int(text)


def window(text: str) -> tuple[int, int]:
    """Return (height, width) of ``"512"`` or ``"384,512"``.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    >>> window("512"), window("384,512")
    ((512, 512), (384, 512))
    """
    sides = text.split(",")
    if len(sides) > 2 or not all(side.strip().isdecimal() and int(side) > 0 for side in sides):
        raise argparse.ArgumentTypeError(f"'{text}' is neither N nor H,W, integers of 1 or more")
    return int(sides[0]), int(sides[-1])


def image_range(text: str) -> tuple[float, float]:
    """Return (low, high) of ``"0,4095"``.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    >>> image_range("0,4095")
    (0.0, 4095.0)
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = 0.0
    if not -math.inf < low < high < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not LOW,HIGH, two numbers such as 0,4095")
    return low, high


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
