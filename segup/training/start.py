"""Begin a run: in this process, or in several, one for each device, that train the same configuration in one folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from segup.errors import INTERRUPTED, ConfigError, RunInterruptedError, SegupError, refusals_named
from segup.imports import children_kept_off
from segup.terminal import endings_answered
from segup.training.config import RunConfig


@refusals_named()
def start(config: RunConfig, folder: Path) -> None:
    """Train what ``config`` says in ``folder``.

    Raises:
        SegupError: Whatever is wrong with the configuration, the data or the training.
    """
    if config.reconstruct is not None:
        from segup.training.reconstruct import reconstruct

        reconstruct(config, folder)
        return

    devices, nodes = config.trainer.devices, config.trainer.num_nodes
    if nodes > 1 and not is_launched():
        raise ConfigError(
            f"trainer.num_nodes={nodes} with trainer.devices={devices} are {nodes * devices} processes, which "
            "torchrun or Slurm starts.\n  try: trainer.num_nodes=1; docs/training.md says how several are started."
        )
    if devices > 1 and not is_launched():
        from segup.data import create_data
        from segup.training.resume import read_position

        data = create_data(config.data, config.seed)  # once here: a download, and any fault of the files
        data.prepare_data()
        if config.ckpt_path is not None:
            data.keep_range(read_position(config.ckpt_path).image_range)
        data.setup("fit")
        launch(config, folder)
        return

    from segup.training.run import train

    train(config, folder)


class ProcessFailedError(SegupError):
    """One of the processes of a run ended with an error; it has printed its own cause."""

    def __init__(self, rank: int, code: int) -> None:
        super().__init__(f"process {rank} of the run ended with exit code {code}; its message stands above")
        self.code = code


def is_launched() -> bool:
    """Return whether this process is one of several already (started here, by torchrun or by a cluster)."""
    return "LOCAL_RANK" in os.environ or "SLURM_NTASKS" in os.environ


def launch(config: RunConfig, folder: Path) -> None:
    """Train in several processes on this machine, ``config.trainer.devices`` of them, and wait for them.

    Hydra is not asked again: every process gets the checked configuration through a pipe, so that all share one run
    folder. The pipe stays open as long as this process lives: the others end when it does, however it ends.

    Raises:
        ProcessFailedError: A process failed; the others are ended.
        RunInterruptedError: They were stopped, and saved.
    """
    processes = config.trainer.devices
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
    children = [subprocess.Popen(command, env=env, stdin=subprocess.PIPE) for env in envs]

    def stop(number: int) -> None:
        if number != signal.SIGINT:  # it reaches the children too: they save and stop, and this process waits for that
            _terminate(children)

    with endings_answered(stop, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        try:
            for child in children:
                _send(child, json.dumps(asdict(config)))
            _wait(children)
        finally:
            _terminate(children)


def received() -> str:
    """Return what the process that started this one has sent, and end this one as soon as that one ends.

    Standard input is read by its descriptor: a thread that waits in Python's own stream would hold up the end.
    """
    parts: list[bytes] = []
    while not (parts and parts[-1].endswith(b"\n")) and (part := os.read(0, 2**16)):
        parts.append(part)

    def end_with_parent() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()
    return b"".join(parts).decode()


def _send(child: subprocess.Popen[bytes], text: str) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and says why itself
        child.stdin.write(f"{text}\n".encode())
        child.stdin.flush()


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
    if failed and all(code == INTERRUPTED for _, code in failed):
        raise RunInterruptedError("the run's processes were stopped; their messages stand above")
    if failed:
        time.sleep(1.0)  # the first process may be about to say why
        raise ProcessFailedError(*failed[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
