"""Outlines as LabelMe writes them: one JSON file beside each image."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segup.data.drawn.json_files import read_foreign_json
from segup.data.drawn.outlines import Outline, Outlines
from segup.data.labels import Labels
from segup.data.layout.matching import Matched, match
from segup.data.layout.patterns import Found
from segup.data.pairs import Pair, one_each
from segup.errors import DataError

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
                    f"\n  try: data.classes=[{','.join([*self.names, name])}]"
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
    if kind == "polygon":
        return points
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "circle" and len(points) == 2:
        center, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * math.pi, _CIRCLE, endpoint=False)
        return center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    raise DataError(
        f"{path}: a shape is a {kind} of {len(points)} points; polygons, rectangles and circles can be drawn.\n"
        f"  try: remove it from the file, or draw it as a polygon."
    )
