"""The roof: the ``segup`` command. Nothing heavy is imported before a command starts to work."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

_COMMANDS = {
    "train": "train a model: segup train decoder=deconv seed=1",
    "evaluate": "score a run or checkpoint on a data set",
    "compare": "finished runs side by side: scores, costs, differences",
    "report": "write a study's report, finished or not: tables, figures, one page",
    "predict": "segment images with a run or checkpoint",
    "shapes": 'every size of layers, proved: segup shapes "conv k3 s2 p1" 417',
    "explain": 'what a layer does to every pixel: segup explain "deconv k4 s2 p1" --input 4x4',
    "check": "at which sizes a model keeps the size: segup check timm/resnet18",
}

_MODULES = {"report": "report_study"}
"""Commands whose module has another name than they."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``segup COMMAND ...`` and exit: 0 when it worked, 1 on an error, 2 on a wrong command, 130 after Ctrl-C."""
    from segup.terminal import show_everything

    show_everything()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        import segup

        print(segup.__version__)
        sys.exit(0)
    command, rest = words[0], words[1:]
    if command not in _COMMANDS:
        from segup.errors import unknown

        print(unknown("command", command, _COMMANDS), file=sys.stderr)
        sys.exit(2)
    from segup.imports import children_kept_off

    try:
        with children_kept_off():
            code = _load(command)(rest)
        sys.stdout.flush()
    except KeyboardInterrupt:
        from segup.errors import INTERRUPTED

        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough: segup shapes ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _load(command: str) -> Callable[[list[str]], int]:
    run: Callable[[list[str]], int] = import_module(f"segup.cli.{_MODULES.get(command, command)}").run
    return run


def _usage() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  segup {name:<{width}}  {purpose}" for name, purpose in _COMMANDS.items()]
    return "\n".join(["usage: segup COMMAND ...", "", *lines, "", "segup COMMAND --help says more."])
