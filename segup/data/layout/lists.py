"""Which images are in a split: those that a list names, and of a group all or none."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segup.data.layout.patterns import Found, inside
from segup.errors import ConfigError, DataError
from segup.stored import read_text


def listed(root: Path, file: str, images: Sequence[Found]) -> list[Found]:
    """Return the images that a list names, in the order of the list.

    A line is a path below the root, or the name of an image with or without extension; what follows it after a space
    is left out, as in Pascal VOC's lists.

    Args:
        root: The folder of the data.
        file: The list, relative to the root.
        images: All images.

    Raises:
        ConfigError: A path leads out of the root.
        DataError: The list is missing or empty, or names what is no image, several images, or one image twice.
    """
    path = inside(root, file, "data.lists")
    if not path.is_file():
        raise DataError(f"{path}: no such list of images")
    named = _by_name(root, images)
    found: dict[Path, Found] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}, line {number}"
        texts = [line.strip(), words[0]]
        for text in texts:
            inside(root, text, where)
        keys = [os.path.normpath(text.replace("\\", "/")) for text in texts]
        matches = next((named[key] for key in keys if key in named), [])
        if len(matches) != 1:
            several = f"may be {matches[0].path} or {matches[1].path}" if matches else "is no image of data.images"
            raise DataError(f"{where}: '{words[0]}' {several}")
        if matches[0].path in found:
            raise DataError(f"{where}: '{words[0]}' is listed twice")
        found[matches[0].path] = matches[0]
    if not found:
        raise DataError(f"{path}: the list is empty")
    return list(found.values())


def _by_name(root: Path, images: Sequence[Found]) -> dict[str, list[Found]]:
    """Return images by each end of their paths, with and without extension, and by their keys."""
    named: dict[str, list[Found]] = {}
    for image in images:
        parts = image.path.relative_to(root).as_posix().split("/")
        ends = {"/".join(parts[start:]) for start in range(len(parts))}
        for name in ends | {os.path.splitext(end)[0] for end in ends} | {image.name}:
            named.setdefault(name, []).append(image)
    return named


def group_of(image: Found, root: Path, groups: str | None) -> str:
    r"""Return the group of an image: what the regular expression finds in its path, or its own name.

    Args:
        image: The image.
        root: The folder to which the path is relative.
        groups: A regular expression; its group 1, or all that it matches, names the group. None: no groups.

    Raises:
        ConfigError: It is no regular expression.
        DataError: It finds nothing.

    >>> group_of(Found(Path("a/images/patient7_2.png"), ("patient7_2",)), Path("a"), r"(patient\d+)_")
    'patient7'
    """
    if groups is None:
        return image.name
    path = image.path.relative_to(root).as_posix()
    try:
        match = re.search(groups, path)
    except re.error as cause:
        raise ConfigError(
            f"data.groups={groups!r} is no regular expression: {cause}.\n  try: 'data.groups=\"([^/_]+)_[^/]*$\"'"
        ) from cause
    if match is None or not (name := match[1] if match.re.groups else match[0]):
        raise DataError(f"{image.path}: data.groups={groups!r} finds nothing in '{path}'")
    return name


def check_apart(images: Mapping[str, Sequence[Found]], root: Path, groups: str | None) -> None:
    """Raise a DataError for a group with images in two splits."""
    if groups is None:
        return
    first: dict[str, tuple[str, Found]] = {}
    for split, found in images.items():
        for image in found:
            name = group_of(image, root, groups)
            other, one = first.setdefault(name, (split, image))
            if other != split:
                raise DataError(
                    f"group '{name}' (data.groups) is in two splits: {one.path} in {other}, {image.path} in {split}"
                )
