"""Splits that names tell: a folder holds train_1.bmp and testA_1.bmp."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from segup.data.discover.names import shared_start
from segup.data.layout.patterns import Found, split_of
from segup.data.sets import SPLITS

_SPLIT_IN_NAME = re.compile(r"(?i)((train|training|val|valid|validation|test|testing)([a-z\d]?(?=[_\-. ])|(?=\d)))")


def splits_in_names(images: Sequence[Found], places: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return images and masks of each split where what tells names apart begins with it: train_1, testA_1.

    Args:
        images: All of them.
        places: The options of all splits.
    """
    begin: dict[str | None, list[str]] = {}
    for image in images:
        word = _SPLIT_IN_NAME.match(image.key[-1])
        begin.setdefault(split_of(word[2]) if word else None, []).append(word[1] if word else "")
    if None in begin or "train" not in begin or len(begin) < 2:
        return {}
    return {
        key: {split: _beginning(places.get(key, key), shared_start(begin[split])) for split in SPLITS if split in begin}
        for key in ("images", "masks")
    }


def told_of_folders(images: Sequence[Found]) -> tuple[str, ...]:
    """Return what to say where images that are split at random lie in folders of several: slices of a patient, say."""
    folders = Counter(image.path.parent for image in images)
    if len(folders) < 3 or 2 * len(folders) > len(images) or any(image.split for image in images):
        return ()
    keep = """'data.groups="(.*)/"'"""
    return (f"the images lie in {len(folders)} folders: if each is a patient or a place, {keep} keeps it in one split",)


def _beginning(place: str, text: str) -> str:
    """Return the pattern of the files of a place whose wildcard begins with a text.

    >>> _beginning("a/*_mask.png", "train"), _beginning("images", "val")
    ('a/train*_mask.png', 'images/val*')
    """
    *folders, last = place.split("/") if "*" in place else f"{place}/*".removeprefix("./").split("/")
    return "/".join([*folders, last.replace("*", f"{text}*", 1)])
