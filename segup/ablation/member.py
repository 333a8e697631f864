"""One run of a study: where it stands (``status.json``), and its training, written down however it ends."""

import contextlib
import fcntl
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from segup.ablation.block import Block
from segup.ablation.runs import Run, read_run
from segup.conform import Within
from segup.errors import DataError, RunInterruptedError, SegupError
from segup.lock import LOCK, HeldError, lock, taken
from segup.stored import as_written, read_json, visible
from segup.training.config import RunConfig
from segup.training.run_folder import clear_unstarted, is_complete, read_config, write_json
from segup.training.start import start

LOG = "log.txt"
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


@dataclass(frozen=True)
class Member:
    """One run of a study.

    Args:
        path: Its run folder, ``<study>/<label>/<seed>``, or ``<study>/<label>/<seed>-fold<fold>``.
        label: The decoder's folder: the operator's word, and what else was swept: ``"deconv,decoder.topology=fpn"``.
        seed: The seed.
        status: Where it stands.
        run: Its result, once it has finished.
        fold: On which it validates; None where the data is not in folds.
    """

    path: Path
    label: str
    seed: int
    status: Status
    run: Run | None
    fold: int | None = None

    @property
    def block(self) -> Block:
        """Its seed and fold."""
        return Block(self.seed, self.fold)

    @property
    def name(self) -> str:
        """As a person calls it: "deconv seed 0"."""
        return f"{self.label} {self.block}"

    @property
    def state(self) -> str:
        """``"waiting"``, ``"running"``, ``"interrupted"`` (killed or stopped), ``"finished"`` or ``"failed"``."""
        return self.status.state

    @property
    def cause(self) -> str | None:
        """Why it failed, in one message; None where it did not."""
        return None if self.status.cause is None else visible(self.status.cause, keep="\n")

    @property
    def wall_seconds(self) -> float | None:
        """What all its attempts took; None before it was begun."""
        return self.status.seconds if self.status.attempt else None


def member_path(study: Path, label: str, seed: int, fold: int | None = None) -> Path:
    """Return the run folder of one member."""
    return study / label / Block(seed, fold).folder


def read_member(study: Path, label: str, seed: int, fold: int | None = None) -> Member:
    """Return one member, with its result once it has finished.

    Raises:
        DataError: A file in its folder is not one that segup writes.
    """
    path = member_path(study, label, seed, fold)
    status = read_status(path)
    return Member(path, visible(label), seed, status, read_run(path) if status.state == "finished" else None, fold)


def train_member(folder: Path) -> None:
    """Train a study's run to its end, from its last checkpoint if it has one; one that another process trains is left.

    Its ``status.json`` says how it went: a run that fails does not raise.

    Args:
        folder: The run folder, with the ``config.yaml`` that :func:`segup.ablation.plan.plan_study` wrote.
    """
    with contextlib.suppress(HeldError), lock(folder):
        before = stored_status(folder)
        if before.state != "finished":
            with _written_down(folder, before):
                _train(folder)


@contextlib.contextmanager
def _written_down(folder: Path, before: Status) -> Iterator[None]:
    begun = Status(
        "running",
        started=time.time(),
        pid=os.getpid(),
        host=socket.gethostname(),
        attempt=before.attempt + 1,
        seconds=before.seconds + _lost_seconds(folder, before),
    )
    write_status(folder, begun)
    state: State = "failed"
    cause = None
    try:
        yield
        state = "finished"
    except (KeyboardInterrupt, RunInterruptedError):
        state = "interrupted"
    except SegupError as error:
        cause = f"{type(error).__name__}: {error}"
        print(cause, file=sys.stderr)
    except BaseException as error:  # whatever ends this run is written down, and the others go on
        traceback.print_exc()
        cause = f"{type(error).__name__}: {error}"
    ended = time.time()
    seconds = round(begun.seconds + ended - (begun.started or ended), 3)
    write_status(folder, replace(begun, state=state, cause=cause, ended=ended, seconds=seconds))


def _train(folder: Path) -> None:
    values = read_config(folder)
    checkpoint = folder / "last.ckpt"
    if is_complete(folder):
        return  # the process died before it could say that it had finished
    values["ckpt_path"] = str(checkpoint) if checkpoint.exists() else None
    clear_unstarted(folder)
    start(RunConfig.of(values), folder)


def _lost_seconds(folder: Path, before: Status) -> float:
    """Return what an attempt took whose process was killed, as far as it wrote anything."""
    if before.state != "running" or before.started is None:
        return 0.0
    written = [file.stat().st_mtime for name in ("metrics.csv", "last.ckpt") if (file := folder / name).exists()]
    return max(0.0, max(written, default=before.started) - before.started)
