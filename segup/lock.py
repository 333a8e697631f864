"""A folder's lock: one process alone works in it, however the others end."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segup.errors import SegupError

LOCK = "lock"


class HeldError(SegupError):
    """Another process has the lock."""


@contextmanager
def lock(folder: Path, name: str = LOCK, patience: float = 5.0) -> Iterator[None]:
    """Hold the folder's lock; the system gives it back when the process ends, however that comes about.

    Args:
        folder: An existing folder.
        name: Of the lock's file in it.
        patience: Seconds to wait for whoever has it: a process that was killed takes a moment to go.

    Raises:
        HeldError: It is still held by another process after that.
    """
    with (folder / name).open("a+") as file:
        until = time.monotonic() + patience
        while not taken(file, fcntl.LOCK_EX):
            if time.monotonic() >= until:
                raise HeldError(
                    f"another process works in {folder} and holds {folder / name}; nothing was changed.\n"
                    f"  try: again when it has ended."
                )
            time.sleep(0.05)
        yield


def is_held(folder: Path, name: str = LOCK) -> bool:
    """Return whether another process holds the folder's lock."""
    try:
        with (folder / name).open("r+") as file:
            return not taken(file, fcntl.LOCK_EX)
    except FileNotFoundError:
        return False


def taken(file: IO[str], kind: int) -> bool:
    """Return whether the lock of an open file could be had, at once."""
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
