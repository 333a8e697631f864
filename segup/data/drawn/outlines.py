"""Masks that are drawn from the outlines of objects: LabelMe's JSON beside each image, and YOLO's text."""

import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segup.data.drawn import DrawnMask
from segup.data.headers import Header, read_header
from segup.data.labels import Labels
from segup.data.layout.matching import Matched, match
from segup.data.layout.patterns import Found
from segup.data.mask_files import MaskPixels
from segup.data.pairs import Pair, one_each
from segup.errors import DataError
from segup.overrides import pasted
from segup.stored import read_text


def read_foreign_json(path: Path) -> Any:
    """Return the plain values of a JSON file of any size.

    Raises:
        DataError: It is missing, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as cause:
        raise DataError(f"{path}: no JSON, or cut short ({str(cause).splitlines()[0]})") from cause


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


_CIRCLE = 64


@dataclass(frozen=True)
class LabelMe(Outlines):
    """The shapes of a LabelMe file: polygons, rectangles and circles.

    Attributes:
        path: The file.
        names: The id of each class, by its name in lower case.
    """

    path: Path
    names: dict[str, int] = field(hash=False)

    def __str__(self) -> str:
        return str(self.path)

    def size(self) -> tuple[int, int]:
        """Return the size that the file gives."""
        content = self._content()
        height, width = content.get("imageHeight"), content.get("imageWidth")
        if not all(isinstance(side, int) and 0 < side < 2**20 for side in (height, width)):
            raise DataError(f"{self.path}: imageHeight and imageWidth must be ints of 1 or more")
        return height, width  # type: ignore[return-value]

    def outlines(self) -> Iterator[Outline]:
        """Return each shape as a polygon, in the order of the file."""
        for shape in self._content()["shapes"]:
            name = str(shape.get("label", "")) if isinstance(shape, dict) else ""
            index = self.names.get(name.strip().lower())
            if index is None:
                raise DataError(
                    f"{self.path}: a shape is called '{name}', which is none of data.classes ({', '.join(self.names)})."
                    f"\n  try: {pasted('data.classes', [*self.names, name])}"
                )
            yield index, _corners(shape, self.path)

    def _content(self) -> dict[str, Any]:
        content = read_foreign_json(self.path)
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise DataError(f"{self.path}: no LabelMe file: it has no list of shapes")
        return content


def pair_labelme(images: Sequence[Found], files: Sequence[Found], labels: Labels) -> tuple[list[Pair], Matched]:
    """Pair images with the LabelMe files of the same name."""
    matched = match(images, files)
    names = {name.lower(): index for index, name in enumerate(labels.names)}
    return one_each(matched, lambda _, file: LabelMe(file, names)), matched


def _corners(shape: dict[str, Any], path: Path) -> np.ndarray:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.array(shape.get("points"), dtype=float).reshape(-1, 2)
    except (TypeError, ValueError) as cause:
        raise DataError(f"{path}: the points of a shape are no pairs of numbers") from cause
    if not np.isfinite(points).all():
        raise DataError(f"{path}: a shape has points that are no numbers")
    if kind == "polygon" and len(points) >= 3:
        return points
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "circle" and len(points) == 2:
        center, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * math.pi, _CIRCLE, endpoint=False)
        return center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    raise DataError(
        f"{path}: a shape is a {kind} of {len(points)} points; polygons of 3 or more, and rectangles "
        f"and circles of 2, can be drawn.\n"
        f"  try: remove it from the file, or draw it as a polygon."
    )


@dataclass(frozen=True)
class Yolo(Outlines):
    """The lines of a YOLO file. Its class k is class k + 1; class 0 is the background.

    Attributes:
        path: The file.
        image: The image, whose size the shares are of.
        classes: The number of classes, with the background.
    """

    path: Path
    image: Path
    classes: int

    def __str__(self) -> str:
        return str(self.path)

    def size(self) -> tuple[int, int]:
        """Return the image's size."""
        return read_header(self.image).size

    def outlines(self) -> Iterator[Outline]:
        """Return each line as a polygon."""
        height, width = self.size()
        for number, line in enumerate(read_text(self.path).splitlines(), 1):
            words = line.split()
            if not words:
                continue
            index, shares = _parsed(words)
            if index is None or len(shares) < 6 or len(shares) % 2 or not np.isfinite(shares).all():
                raise DataError(
                    f"{self.path}, line {number}: a line is a class and three corners or more: 0 x y x y x y"
                )
            if index >= self.classes - 1:
                raise DataError(
                    f"{self.path}, line {number}: class {index} is class {index + 1} here, after the background, and "
                    f"data.classes has {self.classes}.\n  try: data.classes=[background,...] with a name for each"
                )
            yield index + 1, shares.reshape(-1, 2) * (width, height) - 0.5


def pair_yolo(images: Sequence[Found], files: Sequence[Found], labels: Labels) -> tuple[list[Pair], Matched]:
    """Pair images with the YOLO files of the same name."""
    matched = match(images, files)
    return one_each(matched, lambda image, file: Yolo(file, image, labels.num_classes)), matched


def _parsed(words: Sequence[str]) -> tuple[int | None, np.ndarray]:
    try:
        return (int(words[0]) if words[0].isdecimal() else None), np.array([float(word) for word in words[1:]])
    except ValueError:
        return None, np.zeros(0)
