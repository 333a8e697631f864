"""Runs of a study in processes of their own, so that one that dies takes no other along and memory is its own."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from segup.ablation.member import LOG, State, stored_status, train_member, write_status
from segup.imports import children_kept_off
from segup.lock import HeldError, lock
from segup.terminal import show_everything


class Processes:
    """At most ``at_once`` runs at a time.

    The processes are forked from one that has imported what training needs: that takes ten seconds once, not for each
    run. Each ends when this one does, however it ends: nobody is left training for a sweep that was killed.

    Args:
        at_once: How many.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["segup.training.run"])
        self._running: dict[ForkServerProcess, Path] = {}

    def begin(self, folder: Path) -> None:
        """Train the run in ``folder``, as soon as fewer than ``at_once`` others are; one that has finished is left."""
        if stored_status(folder).state == "finished":
            return
        self._wait_for(lambda: len(self._running) < self._at_once)
        process = self._context.Process(target=_run, args=(folder.resolve(), os.getcwd()), name=str(folder))
        start_apart(process)
        self._running[process] = folder

    def finish(self) -> None:
        """Wait until all have ended."""
        self._wait_for(lambda: not self._running)

    def stop(self) -> None:
        """Ask all to save and to end, and wait for that."""
        for process in self._running:
            process.terminate()
        self.finish()

    def _wait_for(self, enough: Callable[[], bool]) -> None:
        while not enough():
            wait([process.sentinel for process in self._running])
            for process, folder in list(self._running.items()):
                if not process.is_alive():
                    process.join()
                    del self._running[process]
                    _write_ending(folder, process)


@contextmanager
def _script_left_out() -> Iterator[None]:
    """Keep multiprocessing from running the caller's script anew in each process: it may be what began the sweep."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def start_apart(process: ForkServerProcess) -> None:
    """Start a process that neither shows the caller's streams nor runs its script anew."""
    with children_kept_off(), _script_left_out():
        _start_server()
        process.start()


def _start_server() -> None:
    """Start the process that the others are forked from with SIGINT held back: it would end its imports in a traceback.

    Once it has imported it ignores the signal itself.
    """
    resource_tracker.ensure_running()  # the server starts it otherwise, and it lets SIGINT through when it has started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def free_slot(study: Path, slots: int | None) -> Iterator[None]:
    """Wait until fewer than ``slots`` runs of the study are trained on this machine, and count as one of them."""
    with ExitStack() as held:
        names = [f".slot-{socket.gethostname()}-{index}" for index in range(slots or 0)]
        while names and not any(_entered(held, study, name) for name in names):
            time.sleep(0.5)
        yield


def _entered(held: ExitStack, study: Path, name: str) -> bool:
    try:
        held.enter_context(lock(study, name, patience=0))
    except HeldError:
        return False
    return True


def _write_ending(folder: Path, process: Any) -> None:
    """Write down that a run's process ended without having done so itself."""
    status = stored_status(folder)
    began = status.pid == process.pid
    if process.exitcode == 0 or (began and status.state != "running"):
        return
    stopped = process.exitcode in (-signal.SIGTERM, -signal.SIGINT)
    when = "" if began else "before it began, "
    cause = None if stopped else f"{when}its process was ended by {_ending(process.exitcode)}"
    state: State = "interrupted" if stopped else "failed"
    try:
        with lock(folder):
            write_status(folder, replace(status, state=state, cause=cause, ended=time.time()))
    except HeldError:
        return  # another sweep has taken it up


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}: out of memory, or by hand" if name == "SIGKILL" else name


def _run(folder: Path, place: str) -> None:
    begin_apart()
    os.chdir(place)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    show_everything()
    train_member(folder)


def begin_apart() -> None:
    """Begin a process of :func:`start_apart`: Ctrl-C is for the sweep alone, and it ends when the sweep does."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)
