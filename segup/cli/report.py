"""How a command reaches a person: its lines, how far it is, and an error as its cause in a few lines and a code."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from segup.errors import INTERRUPTED, RunInterruptedError, SegupError, refusals_named
from segup.stored import visible

FAILED = 1


def say(text: str) -> None:
    """Print a line, in which names of files and classes may stand."""
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(visible(text)), soft_wrap=True)


def tracked(what: str) -> Callable[[Iterable[Any], int], Iterator[Any]]:
    """Return what passes on the things that a command goes through, so many, and shows on a terminal how far it is."""
    from rich.console import Console
    from rich.progress import track

    console = Console()
    shown = partial(track, description=what, console=console, transient=True, disable=not console.is_terminal)
    return lambda items, count: iter(shown(items, total=count))


def run_reported(work: Callable[..., None], *arguments: Any) -> int:
    """Do ``work`` and return the exit code, printing what went wrong; ``SEGUP_TRACEBACK=1`` shows where, too."""
    try:
        with refusals_named():
            work(*arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SegupError as error:
        return report(error)
    return 0


def report(error: SegupError) -> int:
    """Print an error once and return its exit code."""
    if os.environ.get("SEGUP_TRACEBACK") == "1":
        raise error
    if not getattr(error, "reported", False):
        print(visible(f"{type(error).__name__}: {error}", keep="\n"), file=sys.stderr, flush=True)
        error.reported = True  # type: ignore[attr-defined]
    return INTERRUPTED if isinstance(error, RunInterruptedError) else FAILED
