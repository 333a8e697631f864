"""Outlines as YOLO's segmentation files hold them: for each object a line with its class and corners."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segup.data.drawn.outlines import Outline, Outlines
from segup.data.headers import read_header
from segup.data.labels import Labels
from segup.data.layout.matching import Matched, match
from segup.data.layout.patterns import Found
from segup.data.pairs import Pair, one_each
from segup.errors import DataError
from segup.stored import read_text


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
