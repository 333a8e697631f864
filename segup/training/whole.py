"""Files that are whole or not there, whenever the process dies."""

import contextlib
import os
import shutil
from pathlib import Path

from segup.errors import DataError


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that at any moment either the old one or the new one is there.

    Raises:
        DataError: The file system refused; the old file is left as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as cause:
        with contextlib.suppress(OSError):  # where the folder is none, there is nothing to remove
            beside.unlink()
        kept = "the one before it is whole" if path.exists() else "there is none before it"
        raise DataError(f"{path} cannot be written: {cause.strerror or cause}; {kept}") from cause


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that at any moment either the old or the new ``target`` is there."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, beside)
        os.replace(beside, target)
    except OSError as cause:
        with contextlib.suppress(OSError):  # where the folder is none, there is nothing to remove
            beside.unlink()
        raise DataError(f"{target} cannot be written: {cause.strerror or cause}") from cause
