"""Paths that a person, a list or a JSON file names: they stay inside the root of the data."""

import os
from pathlib import Path

from segup.errors import ConfigError


def inside(root: Path, text: str, where: str) -> Path:
    """Return ``root / text``, where ``text`` does not lead out of the root.

    Args:
        root: The folder of the data.
        text: A relative path; a backslash is taken for a slash.
        where: What names the path, for the message.

    Raises:
        ConfigError: An absolute path, or one that leads out of the root.

    >>> inside(Path("data"), "images/../masks", "data.masks").as_posix()
    'data/masks'
    >>> inside(Path("data"), "../secret", "data.masks")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: data.masks: '../secret' leads out of data: paths are relative to data.root and stay in it.
      try: a data.root that holds all files.
    """
    plain = os.path.normpath(text.replace("\\", "/"))
    out = plain == ".." or plain.startswith(("../", "/")) or plain[1:2] == ":" or "\0" in plain
    if out or Path(plain).is_absolute():
        raise ConfigError(
            f"{where}: '{text}' leads out of {root}: paths are relative to data.root and stay in it.\n"
            f"  try: a data.root that holds all files."
        )
    return root / plain
