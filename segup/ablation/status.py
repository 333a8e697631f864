"""``status.json``: where one run of a study stands."""

import fcntl
import os
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from segup.conform import Within
from segup.errors import DataError
from segup.lock import LOCK, taken
from segup.stored import as_written, read_json
from segup.training.run_folder import write_json

State = Literal["waiting", "running", "interrupted", "finished", "failed"]
Seconds = Annotated[float, Within(0, 1e12)]
_REMOVE = "  try: remove the file; the study's command takes the run up where its checkpoint is."


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Args:
        state: One of :data:`State`; ``"running"`` is only so while its process lives, see :func:`read_status`.
        cause: Why it failed, in one message.
        started, ended: Of the last attempt, in seconds since 1970.
        pid, host: Of the process that trains, or trained, it.
        attempt: How often it was begun.
        seconds: What its attempts took together, those that were killed counted until they last wrote.
    """

    state: State = "waiting"
    cause: str | None = None
    started: Seconds | None = None
    ended: Seconds | None = None
    pid: int | None = None
    host: str | None = None
    attempt: Annotated[int, Within(0, 10**9)] = 0
    seconds: Seconds = 0.0


def read_status(folder: Path) -> Status:
    """Return the status of a run of a study; a run whose process was killed is ``"interrupted"``.

    A run is alive while its lock is held. That is asked on its own machine alone: not every file system shares locks.

    Raises:
        DataError: The file is not one that segup writes.
    """
    status = stored_status(folder)
    if status.state == "running" and status.host == socket.gethostname() and not _is_held(folder, status):
        return replace(status, state="interrupted")
    return status


def stored_status(folder: Path) -> Status:
    """Return what ``status.json`` says, whether its process lives or not; a run without one is waiting.

    A run that finished and whose result is gone is ``"interrupted"``.

    Raises:
        DataError: The file is not one that segup writes.
    """
    file = folder / "status.json"
    try:
        status: Status = as_written(Status, read_json(file), file)
    except FileNotFoundError:
        return Status()
    except DataError as cause:
        raise DataError(f"{cause}.\n{_REMOVE}") from cause
    if status.state == "finished" and not (folder / "result.json").is_file():
        return replace(status, state="interrupted")  # somebody removed it: what is left is taken up again
    return status


def write_status(folder: Path, status: Status) -> None:
    """Write ``status.json``, whole or not at all."""
    write_json(folder / "status.json", asdict(status))


def _is_held(folder: Path, status: Status) -> bool:
    if status.pid == os.getpid():  # closing the file here would give this process's own lock back
        return True
    try:
        file = (folder / LOCK).open("r")
    except OSError:
        return False
    with file:
        return not taken(file, fcntl.LOCK_SH)
