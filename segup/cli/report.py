"""How an error reaches a person: its cause in a line or a few, and an exit code."""

import os
import sys
from collections.abc import Callable

from segup.errors import INTERRUPTED, RunInterruptedError, SegupError, refusals_named
from segup.stored import visible

FAILED = 1


def run_reported(work: Callable[[], None]) -> int:
    """Do ``work`` and return the exit code, printing what went wrong; ``SEGUP_TRACEBACK=1`` shows where, too."""
    try:
        with refusals_named():
            work()
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
