"""Which of a run's processes this is, and one run folder for all of them where something else started them.

torchrun and Slurm start every process with the same command, and a new run folder is called after the time. The first
process makes it and leaves its name in a file beside it, called after the launch; the others read it there. What a
killed launch left is told by the folder's lock, which nobody holds then.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segup.atomic import atomic_write
from segup.errors import DataError
from segup.lock import is_held

_LAUNCHES = {
    "RANK": ("MASTER_PORT", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
    "SLURM_PROCID": ("SLURM_JOB_ID", "SLURM_STEP_ID"),
}
"""What names a launch, beside the variable that numbers its processes."""
PATIENCE = 120.0
"""Seconds to wait for the first process."""


def is_first() -> bool:
    """Return whether this is the first of a run's processes, or the only one: the one that writes."""
    return (
        next((int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ), 0) == 0
    )


def launch_name() -> str | None:
    """Return what all processes of one launch call it, or None where nothing else started this one."""
    for rank, names in _LAUNCHES.items():
        if rank in os.environ and names[0] in os.environ:
            return "-".join(os.environ.get(name, "0") for name in names)
    return None


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Leave the name of the folder, whose lock is held, for the launch's other processes, as long as it is used."""
    launch = launch_name()
    if launch is None:
        yield
        return
    file = _file(folder.parent, launch)
    atomic_write(file, folder.name.encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def followed(parent: Path, patience: float = PATIENCE) -> Path:
    """Return the folder in ``parent`` that the first process of this launch has made.

    Raises:
        DataError: It made none in time, or nothing tells the launch.
    """
    launch, until = launch_name(), time.monotonic() + patience
    if launch is None:
        raise DataError("which processes share this run cannot be told.\n  try: run_dir=FOLDER.")
    file = _file(parent, launch)
    while time.monotonic() < until:
        if file.is_file() and is_held(folder := parent / file.read_text()):
            return folder
        time.sleep(0.05)
    raise DataError(
        f"the first process of this run has made no run folder in {parent} within {patience:g} s.\n"
        f"  try: run_dir=FOLDER, on a file system that all processes share."
    )


def _file(parent: Path, launch: str) -> Path:
    return parent / f".launch-{launch.replace('/', '%2F')}"
