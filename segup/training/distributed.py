"""Several processes for one run: one per device, started here, each training the same folder's configuration."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from segup.errors import SegupError
from segup.imports import children_kept_off


class ProcessFailedError(SegupError):
    """One of the processes of a run ended with an error; it has printed its own cause."""

    def __init__(self, rank: int, code: int) -> None:
        super().__init__(f"process {rank} of the run ended with exit code {code}; its message stands above")
        self.code = code


def is_launched() -> bool:
    """Return whether this process is one of several already (started here, by torchrun or by a cluster)."""
    return "LOCAL_RANK" in os.environ or "SLURM_NTASKS" in os.environ


def launch(folder: Path, processes: int) -> None:
    """Train ``folder``'s ``config.yaml`` in several processes on this machine and wait for them.

    Hydra is not asked again: every process reads the resolved configuration, so that all share one run folder.

    Raises:
        ProcessFailedError: A process failed; the others are ended.
    """
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes))),
    }
    command = [sys.executable, "-m", "segup.training", str(folder)]
    with children_kept_off():
        envs = [{**os.environ, **shared, "LOCAL_RANK": str(rank)} for rank in range(processes)]
    children = [subprocess.Popen(command, env=env) for env in envs]
    # Ctrl-C reaches the children too: they save and stop, and this process waits for that.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SIGTERM, with which schedulers end a process, reaches this one alone.
    terminated = signal.signal(signal.SIGTERM, lambda *_: _terminate(children))
    try:
        _wait(children)
    finally:
        _terminate(children)
        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, terminated)


def _terminate(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()


def _wait(children: list[subprocess.Popen[bytes]]) -> None:
    while any(child.poll() is None for child in children):
        _raise_if_failed(children)
        time.sleep(0.2)
    _raise_if_failed(children)


def _raise_if_failed(children: list[subprocess.Popen[bytes]]) -> None:
    failed = [(rank, child.returncode) for rank, child in enumerate(children) if child.returncode]
    if failed:
        time.sleep(1.0)  # the first process may be about to say why
        raise ProcessFailedError(*failed[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
