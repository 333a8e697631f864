"""Masks that are drawn from the outlines of objects."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from segup.data.drawn import DrawnMask
from segup.data.headers import Header
from segup.data.mask_files import MaskPixels

Outline = tuple[int, np.ndarray]
"""A class id and the corners (N, 2) of a polygon as (x, y), in pixels."""


@dataclass(frozen=True)
class Outlines(DrawnMask):
    """Polygons, drawn in the order in which they stand, later ones on top."""

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Return (height, width)."""

    @abstractmethod
    def outlines(self) -> Iterable[Outline]:
        """Return the polygons, with the class of each."""

    def header(self) -> Header:
        """Return the size that the file gives."""
        return Header(*self.size(), 1, np.dtype(np.uint8))

    def pixels(self) -> MaskPixels:
        """Draw the polygons."""
        return MaskPixels(draw(self.outlines(), self.size()))


def draw(outlines: Iterable[Outline], size: tuple[int, int]) -> np.ndarray:
    """Return class ids (height, width) with filled polygons, later ones on top.

    >>> draw([(1, np.array([[0, 0], [2, 0], [2, 1], [0, 1]]))], (3, 4)).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    """
    drawn = np.zeros(size, np.int32)
    limit = 16 * max(size)
    for index, corners in outlines:
        if len(corners):
            cv2.fillPoly(drawn, [np.rint(np.clip(corners, -limit, limit)).astype(np.int32)], index)
    return drawn
