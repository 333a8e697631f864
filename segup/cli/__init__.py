"""The ``segup`` command. Nothing heavy is imported before a command starts to work."""

import errno
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

_COMMANDS = {
    "data": "look at a folder of images and masks, and print the line that trains on it",
    "train": "train a model: segup train decoder=deconv seed=1",
    "evaluate": "score a run, checkpoint or exported file on a data set",
    "compare": "compare finished runs: scores, costs, differences",
    "report": "write the report of a study: tables, figures, one page",
    "predict": "segment images with a run, checkpoint or exported file",
    "export": "write a run or checkpoint as one file, .onnx or .pt2",
    "shapes": 'show and prove the sizes of layers: segup shapes "conv k3 s2 p1" 417',
    "explain": 'show what a layer does to every pixel: segup explain "deconv k4 s2 p1" --input 4x4',
    "encoders": "tabulate the sizes that encoders accept: segup encoders timm/resnet18 swin_transformer",
    "check": "find the sizes at which a model keeps the size: segup check timm/resnet18",
}

_MODULES = {"report": "report_study"}
"""Commands whose module has another name than they."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``segup COMMAND ...`` and exit: 0 on success, 1 on an error, 2 on a wrong command, 130 after Ctrl-C.

    If the output cannot be written, the work is done and the code is 1. It is 141 if the reader of the output has gone.
    """
    from segup.terminal import show_everything

    show_everything()
    try:
        code: Any = _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        from segup.errors import INTERRUPTED

        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except SystemExit as end:  # argparse's, which has said why
        code = end.code
    except OSError as cause:
        if cause.errno != errno.ENAMETOOLONG:  # the one refusal that any word may bring about wherever it is looked for
            raise
        print(f"DataError: '{str(cause.filename)[:60]}…' is too long a name for a file", file=sys.stderr)
        code = 1
    sys.exit(code or _unwritten())


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else 2
    if words[0] == "--version":
        import segup

        print(segup.__version__)
        return 0
    command, rest = words[0], words[1:]
    if command not in _COMMANDS:
        from segup.errors import unknown

        print(unknown("command", command, _COMMANDS), file=sys.stderr)
        return 2
    from segup.errors import unreadable_number

    if why := unreadable_number(" ".join(rest)):
        print(f"ConfigError: {why}", file=sys.stderr)
        return 2
    from segup.imports import children_kept_off

    with children_kept_off():
        code: int = import_module(f"segup.cli.{_MODULES.get(command, command)}").run(rest)
        return code


def _unwritten() -> int:
    """Say why standard output could not be written, and return the exit code: 0 where it could."""
    from segup.terminal import unwritten

    cause = unwritten()
    if isinstance(cause, BrokenPipeError):  # whoever read the output has seen enough: segup shapes ... | head
        return 128 + signal.SIGPIPE
    if cause is not None:
        print(
            f"DataError: standard output cannot be written: {cause.strerror}; everything else is done", file=sys.stderr
        )
    return 0 if cause is None else 1


def _usage() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  segup {name:<{width}}  {purpose}" for name, purpose in _COMMANDS.items()]
    return "\n".join(["usage: segup COMMAND ...", "", *lines, "", "segup COMMAND --help says more."])
