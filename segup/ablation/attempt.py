"""One attempt at one run of a study: alone, from where it was left, and written down however it ends."""

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from segup.ablation.status import State, Status, stored_status, write_status
from segup.errors import RunInterruptedError, SegupError
from segup.lock import HeldError, lock
from segup.training.config import RunConfig
from segup.training.run_folder import clear_unstarted, is_complete, read_config
from segup.training.start import start

LOG = "log.txt"


def attempt(folder: Path) -> None:
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
    except KeyboardInterrupt:
        state = "interrupted"
    except RunInterruptedError:
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
