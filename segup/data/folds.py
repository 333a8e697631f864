"""Folds: every image validates in one of them, and groups stay together."""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from segup.errors import ConfigError, DataError

if TYPE_CHECKING:
    from segup.data.pairs import Pair


def fold_of(seed: int, folds: int | None, fold: int | None = None) -> int | None:
    """Return the fold that a run validates on: the one given, or ``seed`` mod ``folds``; None without folds.

    Raises:
        ConfigError: There are not so many folds, or a fold is given without any.

    >>> fold_of(7, 5), fold_of(7, 5, 1), fold_of(7, None)
    (2, 1, None)
    """
    if folds is None and fold is not None:
        raise ConfigError(f"data.fold={fold}, but the data is in no folds.\n  try: data.folds=5 data.fold={fold}")
    if folds is None:
        return None
    if fold is not None and fold >= folds:
        raise ConfigError(f"data.fold={fold}: data.folds={folds} are numbered from 0.\n  try: data.fold={folds - 1}")
    return seed % folds if fold is None else fold


def split_by_fold(pairs: "Sequence[Pair]", folds: int, fold: int) -> "tuple[list[Pair], list[Pair]]":
    """Return the pairs to train and those to validate, each in the order of their names.

    The largest groups are dealt first, each to the fold with the fewest images so far; groups of one size in the order
    of their names' SHA-256. A pair without a group is one by itself. Folds are numbered by their first image.

    Args:
        pairs: All images and masks.
        folds: How many.
        fold: Which validates.

    Raises:
        DataError: There are fewer groups than folds.
    """
    ordered = sorted(pairs, key=lambda pair: (_as_people_count(pair.name), str(pair.image)))
    groups: dict[str, list[Pair]] = {}
    for pair in ordered:
        alone = f"{pair.name}\0{pair.image.parent.name}"
        groups.setdefault(alone if pair.group is None else pair.group, []).append(pair)
    if len(groups) < folds:
        what = "images" if all(len(members) == 1 for members in groups.values()) else f"groups of {len(ordered)} images"
        way_out = f"data.folds={len(groups)}" if len(groups) > 1 else "data.folds=null"
        raise DataError(f"data.folds={folds}: there are {len(groups)} {what} to divide.\n  try: {way_out}")
    dealt: list[list[Pair]] = [[] for _ in range(folds)]
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in groups}
    for name in sorted(groups, key=lambda name: (-len(groups[name]), digests[name])):
        min(dealt, key=len).extend(groups[name])
    place = {id(pair): number for number, pair in enumerate(ordered)}
    dealt.sort(key=lambda members: min(place[id(pair)] for pair in members))
    validating = {id(pair) for pair in dealt[fold]}
    return (
        [pair for pair in ordered if id(pair) not in validating],
        [pair for pair in ordered if id(pair) in validating],
    )


def _as_people_count(name: str) -> list[tuple[int, str]]:
    """Return what sorts ``frame_2`` before ``frame_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name, flags=re.ASCII)]
