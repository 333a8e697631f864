"""Files that are whole or not there, whenever the process dies, and that take no other file's place unasked.

All that segup writes under a name goes through :func:`atomic_write`: into a file of its own beside the place, which
then takes that place at once. What grows row by row goes through :func:`atomic_append`.
"""

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

from segup.errors import ConfigError, DataError

_PART = re.compile(r"\.segup-[0-9a-f]{16}\.part|\.(?:last|best)\.ckpt\.\d+\.part")
"""Of a write under way, or left by one that was killed; the second kind is of earlier versions."""
_CHUNK = 2**24


def atomic_write(path: Path, content: bytes | memoryview, *, replace: bool = True) -> None:
    """Write a file so that at any moment either the old one or the new one is there.

    What killed writes left in the folder goes with the process's first write into it. A link stays one, and what it
    leads to is written.

    Args:
        path: The file; folders that are missing are made.
        content: Of the whole file.
        replace: Whether a file that is there may be replaced.

    Raises:
        ConfigError: There is a file, and it may not be.
        DataError: The file system refused; the old file is left as it was.
    """
    with _refusals_told(path), _beside(path, replace) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_stream(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that is not at ``path`` before all is written to it, and never if an error ends that.

    Args:
        path: The file; folders that are missing are made.

    Raises:
        DataError: The file system refused; an old file is left as it was.
    """
    with _refusals_told(path), _beside(path, replace=True) as file:
        yield file


def atomic_copy(source: Path, target: Path) -> None:
    """Copy a file so that at any moment either the old or the new ``target`` is there.

    Raises:
        DataError: The file system refused; the old ``target`` is left as it was.
    """
    with _refusals_told(target), source.open("rb") as read, _beside(target, replace=True) as file:
        while chunk := read.read(_CHUNK):
            file.write(chunk)


def atomic_append(path: Path, content: bytes) -> None:
    """Append to a file, all or nothing.

    Raises:
        DataError: The file system refused; the file is as it was.
    """
    with _refusals_told(path), path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:
            file.truncate(size)
            raise


def check_free(paths: Iterable[Path], way_out: str = "another name, or --overwrite") -> None:
    """Raise a ConfigError where there is something already: before the work, not after it.

    Args:
        paths: What is to be written.
        way_out: What the message proposes.
    """
    paths = list(paths)
    there = [path for path in paths if os.path.lexists(path)]
    if not there:
        return
    if len(paths) == 1:
        raise ConfigError(f"{there[0]} exists already; nothing was written.\n  try: {way_out}.")
    examples = ", ".join(str(path) for path in there[:3]) + (", …" if len(there) > 3 else "")
    raise ConfigError(
        f"{len(there)} of {len(paths)} files exist already: {examples}; nothing was written.\n  try: {way_out}."
    )


def check_folder(folder: Path, said: str, way_out: Callable[[Path | None], str]) -> None:
    """Raise a ConfigError where there can be no folder, or nothing may be written into it: before the work.

    Args:
        folder: It need not exist.
        said: What names it, for the message.
        way_out: From the file that is in its place to what is typed instead; from None where nothing may be written.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{said}: {nearest} is a file; results need a folder.\n  try: {way_out(nearest)}")
    if not os.access(nearest, os.W_OK):
        raise ConfigError(f"{said}: nothing may be written in {nearest}.\n  try: {way_out(None)}")


def is_part(path: Path) -> bool:
    """Return whether a file is one that is being written, or that a killed write left."""
    return _PART.fullmatch(path.name) is not None


@contextlib.contextmanager
def _refusals_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        kept = "the one before it is whole" if path.exists() else "there is none before it"
        raise DataError(f"{path} cannot be written: {cause.strerror or cause}; {kept}") from cause


@contextlib.contextmanager
def _beside(path: Path, replace: bool) -> Iterator[IO[bytes]]:
    """Open a file beside ``path`` that takes its place once it is whole, and is gone if it does not get there."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent)
    part = path.with_name(f".segup-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # says that somebody is writing it
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            _move(part, path, replace)
    finally:
        part.unlink(missing_ok=True)


def _move(part: Path, path: Path, replace: bool) -> None:
    if replace:
        os.replace(part, path)
        return
    try:
        os.link(part, path)  # unlike a move, refused where something is
    except OSError:
        check_free([path])
        os.replace(part, path)  # a file system without links


@cache
def _clear(folder: Path) -> None:
    """Remove what writes left whose process was killed: a file that nobody holds any more."""
    for part in folder.iterdir():
        if is_part(part):
            with contextlib.suppress(OSError), part.open("rb") as file:  # another process may write it, or remove it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


def free_or_same(path: Path, content: bytes) -> Path:
    """Return the path, or the first of its kind with -2, -3, …, at which there is nothing or this very content."""
    paths = (path.with_name(f"{path.stem}{f'-{number}' if number > 1 else ''}{path.suffix}") for number in count(1))
    return next(one for one in paths if not one.exists() or (one.is_file() and one.read_bytes() == content))
