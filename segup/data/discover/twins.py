"""Images of two splits that look nearly the same: the scores would be too good."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

NEAR = 3
"""Bits of 64 in which prints of nearly the same picture differ at most."""


def twins(splits: Mapping[str, Sequence[tuple[Path, int]]]) -> list[tuple[Path, Path]]:
    """Return pairs of images of different splits whose prints are nearly the same.

    Args:
        splits: Of each split, images with their prints.

    >>> twins({"train": [(Path("a"), 7), (Path("b"), 0)], "val": [(Path("c"), 6)]})
    [(PosixPath('a'), PosixPath('c')), (PosixPath('b'), PosixPath('c'))]
    """
    names = list(splits)
    found = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            prints = [np.array([own for _, own in splits[name]], dtype=np.uint64) for name in (one, other)]
            for number, own in enumerate(prints[0]):
                near = np.flatnonzero(_bits(prints[1] ^ own) <= NEAR)
                found += [(splits[one][number][0], splits[other][int(index)][0]) for index in near]
    return found


def _bits(numbers: np.ndarray) -> np.ndarray:
    """Return how many bits of each number are set."""
    bits: np.ndarray = np.unpackbits(numbers[:, np.newaxis].view(np.uint8), axis=1).sum(axis=1)
    return bits
