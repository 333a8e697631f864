"""What was there stays whole until what is new is whole, however the write ends."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from segup import atomic
from segup.atomic import atomic_copy, atomic_write, check_free
from segup.errors import ConfigError, DataError


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "fcntl.flock", "os.fchmod"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("write", [atomic_write, lambda path, content: atomic_copy(path.with_name("other"), path)])
def test_whatever_the_system_refuses_the_old_file_stays_and_nothing_beside_it(tmp_path, monkeypatch, call, code, write):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / "other").write_bytes(b"new")

    def refused(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(call, refused)
    with pytest.raises(DataError, match=rf"file cannot be written: {os.strerror(code)}; the one before it is whole"):
        write(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["file", "other"])


def test_a_limit_of_the_system_leaves_the_old_file(tmp_path):
    """In a process of its own, with the real limit: the file may have four kilobytes."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = (
        "import resource, signal, pathlib, sys\n"
        "from segup.atomic import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "atomic_write(pathlib.Path(sys.argv[1]), bytes(10**6))"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "DataError: " in done.stderr
    assert "cannot be written: File too large; the one before it is whole" in done.stderr
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["file"])


def test_what_cannot_be_appended_leaves_the_file_as_it_was(tmp_path):
    """With the real limit, which takes a part of what is written."""
    path = tmp_path / "file"
    path.write_bytes(b"old\n")
    script = (
        "import resource, pathlib, sys\n"
        "from segup.atomic import atomic_append\n"
        "atomic_append(pathlib.Path(sys.argv[1]), b'row\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "atomic_append(pathlib.Path(sys.argv[1]), b'row\\n')"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert f"DataError: {path} cannot be written: File too large; the one before it is whole" in done.stderr
    assert path.read_bytes() == b"old\nrow\n"


def test_an_interrupt_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["file"])


def test_what_a_killed_write_left_goes_at_the_next_start_and_what_is_being_written_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = (
        "import os, pathlib, signal, sys\n"
        "from segup import atomic\n"
        "os.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.atomic_write(pathlib.Path(sys.argv[1]), b'new')"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (path.read_bytes(), len(names(tmp_path))) == (b"old", 2)
    for mine in (".segup-notes.part", ".film.part", "last.ckpt.part", ".hidden"):
        (tmp_path / mine).touch()
    (tmp_path / ".last.ckpt.123.part").touch()  # of an earlier version
    alive = tmp_path / ".segup-00000000000000aa.part"
    with alive.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        atomic._clear.cache_clear()
        atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == [".film.part", ".hidden", alive.name, ".segup-notes.part", "file", "last.ckpt.part"]


def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path):
    real, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    link.symlink_to(real)
    atomic_write(link, b"one")
    real.chmod(0o600)
    atomic_write(link, b"two")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"two", 0o600)


@pytest.mark.parametrize("name", ["é" * 127, "a" * 255])
def test_the_longest_name_can_be_written(tmp_path, name):
    atomic_write(tmp_path / name, b"x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_is_not_replaced_unasked_even_if_it_came_just_now(tmp_path, monkeypatch, links):
    path = tmp_path / "file"
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    atomic_write(path, b"first", replace=False)
    with pytest.raises(ConfigError, match=r"file exists already; nothing was written\.\n  try: another name, or --ov"):
        atomic_write(path, b"second", replace=False)
    assert (path.read_bytes(), names(tmp_path)) == (b"first", ["file"])


def test_a_link_that_leads_nowhere_is_something_too(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="a exists already; nothing was written"):
        check_free([tmp_path / "a"])
    with pytest.raises(ConfigError, match=r"1 of 2 files exist already: .*/a; nothing was written\.\n  try: x\."):
        check_free([tmp_path / "a", tmp_path / "b"], "x")
    check_free([tmp_path / "b"])
