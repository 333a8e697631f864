"""The headers of many files: read by several processes, and kept for the next start."""

import gc
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from segup.atomic import atomic_write
from segup.data.files import check_whole, unusable
from segup.data.headers import MAX_PIXELS, Header, check_pixels, read_header
from segup.errors import DataError
from segup.host import cache_folder, usable_processors

FEW = 4000
"""The headers of fewer files are read by this process, and not kept."""
_CHUNK = 500
_log = logging.getLogger(__name__)

_Kept = dict[bytes, tuple[int, int, Header]]
"""Of each file, by its path below the common folder: its size, when it was changed, and its header."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many objects, none of which is garbage: Python's collector would look at all of them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # all are of the oldest generation now, which is seldom looked at
            gc.enable()


def read_headers(paths: Sequence[Path], max_pixels: int = MAX_PIXELS) -> list[Header]:
    """Return the header of each file, of which none is cut short; equal headers are one object.

    The headers of many files are kept in ``segup/headers`` of the person's folder of caches. A kept header counts as
    long as its file has the same path, size and time of change.

    Args:
        paths: The files.
        max_pixels: The most pixels of a picture.

    Raises:
        DataError: Files are missing, not images, too large or cut short; the first ten are named.
    """
    read = partial(_whole_headers, max_pixels)
    if len(paths) < FEW:
        return read(paths)
    here = os.getcwd()
    files = [os.path.join(here, path) for path in map(str, paths)]
    root = os.path.commonpath({os.path.dirname(file) for file in files})
    index = cache_folder() / "headers" / f"{blake2b(os.fsencode(root), digest_size=12).hexdigest()}.npz"
    known = _kept(index)
    states = [(os.fsencode(file[len(root) :]), *_state(file)) for file in files]
    found: list[Header | None] = []
    for name, size, changed in states:
        kept = known.get(name)
        found.append(kept[2] if kept is not None and kept[0] == size and kept[1] == changed else None)
    checked: set[int] = set()
    for header, path in zip(found, paths, strict=True):
        if header is not None and id(header) not in checked:  # equal headers are one object: each is checked once
            checked.add(id(header))
            check_pixels(path, header, max_pixels)
    unread = [place for place, header in enumerate(found) if header is None]
    made = dict(zip(unread, _shared(_by_several(read, [paths[place] for place in unread])), strict=True))
    headers = [made[place] if header is None else header for place, header in enumerate(found)]
    if made:
        now = {name: (size, changed, header) for (name, size, changed), header in zip(states, headers, strict=True)}
        try:
            _keep(index, known | now)
        except DataError as cause:
            _log.warning("the headers of %d files are read again at the next start: %s", len(paths), cause)
    return headers


def _whole_headers(max_pixels: int, paths: Sequence[Path]) -> list[Header]:
    headers, faults = [], []
    for path in paths:
        try:
            headers.append(read_header(path))
        except DataError as fault:
            faults.append(str(fault))
            continue
        check_pixels(path, headers[-1], max_pixels)
        try:
            check_whole(path)  # last: it may decode the picture
        except DataError as fault:
            faults.append(str(fault))
    if len(faults) > 1:
        away = "move them to another folder; data.skip_unmatched=true leaves out what lacks its partner then"
        raise DataError(f"{unusable(faults)}\n  try: {away}")
    if faults:
        raise DataError(faults[0])
    return list(_shared(headers))


def _by_several(read: Callable[[Sequence[Path]], list[Header]], paths: Sequence[Path]) -> Iterator[Header]:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    console = Console(stderr=True)
    with ProcessPoolExecutor(usable_processors(), get_context("fork")) as pool:  # begins before the bar's thread does
        made = pool.map(read, chunks)
        for headers in track(
            made, "reading headers", len(chunks), console=console, transient=True, disable=not console.is_terminal
        ):
            yield from headers


def _shared(headers: Iterable[Header]) -> Iterator[Header]:
    """Yield the first of the headers that are equal in place of each."""
    first: dict[Header, Header] = {}
    for header in headers:
        yield first.setdefault(header, header)


def _state(file: str) -> tuple[int, int]:
    try:
        state = os.stat(file)
    except OSError:
        return -1, -1  # reading it says what is wrong
    return state.st_size, state.st_mtime_ns


def _kept(index: Path) -> _Kept:
    """Return what an index holds; one that is not there, or damaged, holds nothing."""
    try:
        with np.load(index, allow_pickle=False) as file:
            names = file["names"].tobytes().split(b"\0")
            table = [Header(**{**entry, "dtype": np.dtype(entry["dtype"])}) for entry in json.loads(str(file["table"]))]
            columns = (file["size"].tolist(), file["changed"].tolist(), file["header"].tolist())
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return {}
    return {name: (size, changed, table[number]) for name, size, changed, number in zip(names, *columns, strict=True)}


def _keep(index: Path, kept: _Kept) -> None:
    sizes, changed, headers = zip(*kept.values(), strict=True)
    numbers = {header: number for number, header in enumerate(dict.fromkeys(headers))}
    table = json.dumps([{**asdict(header), "dtype": str(header.dtype)} for header in numbers])
    content = io.BytesIO()
    np.savez(
        content,
        names=np.frombuffer(b"\0".join(kept), np.uint8),
        size=sizes,
        changed=changed,
        header=[numbers[header] for header in headers],
        table=table,
    )
    atomic_write(index, content.getbuffer())
