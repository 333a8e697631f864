"""Groups of images, such as those of one patient: a group is never in two splits."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segup.data.layout.patterns import Found
from segup.errors import ConfigError, DataError


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
