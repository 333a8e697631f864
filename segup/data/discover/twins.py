"""Images of two splits that look nearly the same: the scores would be too good."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from segup.data.discover.look import distance

NEAR = 3
"""Bits of 64 in which prints of nearly the same picture differ at most."""


def twins(splits: Mapping[str, Sequence[tuple[Path, int]]]) -> list[tuple[Path, Path]]:
    """Return pairs of images of different splits whose prints are nearly the same.

    Args:
        splits: Of each split, images with their prints.

    >>> twins({"train": [(Path("a"), 7), (Path("b"), 0)], "val": [(Path("c"), 6)]})
    [(PosixPath('a'), PosixPath('c')), (PosixPath('b'), PosixPath('c'))]
    """
    return [
        (image, twin)
        for one, other in combinations(splits.values(), 2)
        for image, own in one
        for twin, print_of_twin in other
        if distance(own, print_of_twin) <= NEAR
    ]
