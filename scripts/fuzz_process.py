"""One case in a forked process: what it said, how it ended, and what it wrote elsewhere."""

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR", "TMPDIR")
_MEMORY = 8 * 2**30
_WRITING = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        what: The command line or call.
        end: How it ended, in a word: an exit code, "hang", "killed", a class of errors.
        said: Its output.
        fault: Why that is wrong; empty where it is not.
    """

    what: str
    end: str
    said: str
    fault: str = ""


def forked(task: Callable[[], int], folder: Path, output: Path, limit: float) -> tuple[str, str, float]:
    """Run ``task`` in a child whose current folder is ``folder``; return how it ended, what it said, and its seconds.

    The end is the exit code as text, "hang" or "killed". What it opens for writing below other folders than
    ``folder``'s parent is written to ``output`` as a line that begins with ``WROTE``.
    """
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(task, folder, output)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > limit:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hang", output.read_text(errors="replace"), limit
        time.sleep(0.005)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    return str(code) if code >= 0 else "killed", output.read_text(errors="replace"), seconds


def _become(task: Callable[[], int], folder: Path, output: Path) -> None:
    """Be the child: run the task and leave with its code."""
    code = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(said, descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        os.environ.update(dict.fromkeys(_HOMES, str(home)), HF_HUB_OFFLINE="1")
        tempfile.tempdir = None
        sys.addaudithook(_watcher(folder.parent, said))
        code = task()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                code = 71
        os._exit(code & 255)


def _watcher(allowed: Path, said: int) -> Callable[[str, tuple[Any, ...]], None]:
    inside = (os.path.realpath(allowed), "/dev", "/proc")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)) if flags else "w" in (mode or "")
            paths = [path] if writes else []
        elif event in _WRITING:
            paths = [path for path in arguments[:2] if isinstance(path, str | bytes | os.PathLike)]
        else:
            return
        for path in paths:
            if isinstance(path, int) or "__pycache__" in os.fsdecode(path):
                continue
            real = os.path.realpath(os.fsdecode(path))
            if not any(real == place or real.startswith(f"{place}/") for place in inside):
                os.write(said, f"WROTE {event} {real}\n".encode(errors="replace"))

    return watch
