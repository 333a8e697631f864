"""Rows as CSV: those of a ``metrics.csv`` and of an ``images.csv``; nothing that training needs is loaded for them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segup.atomic import atomic_write
from segup.errors import DataError
from segup.stored import read_text, visible

_WHOLE = ("step", "epoch")
_MOST = 2**28  # bytes; a million steps have a quarter of it, two thousand images of 150 classes a hundredth


def csv_text(lines: Iterable[Sequence[Any]]) -> str:
    r"""Return lines of values as the text of a CSV file.

    >>> csv_text([("seed", "run"), (0, "a,b")])
    'seed,run\n0,"a,b"\n'
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``, but for a last one that is still being written.

    Raises:
        FileNotFoundError: There is none.
        DataError: A row without its step, or a cell that is no number.
    """
    lines, _, _ = read_text(path, _MOST).rpartition("\n")
    try:
        rows = list(csv.DictReader(io.StringIO(lines, newline="")))
        for row in rows:
            for name, cell in row.items():
                if cell or name == "step":
                    int(cell) if name in _WHOLE else float(cell)
    except (csv.Error, ValueError, TypeError) as cause:  # a row that is longer than the first has a list of the rest
        raise DataError(f"{path} is not what segup writes: {cause}") from cause
    return rows


IMAGES = "images.csv"
"""What was counted in each validation image, from which scores follow image by image."""
COLUMNS = ("image", "group", "class", "both", "predicted", "true")
_LARGEST = 10**12


@dataclass(frozen=True)
class ImageCounts:
    """One image's pixels, class by class, of the classes that occur in its target or prediction.

    Args:
        image: Its name; names are unique, the second of two alike ends in ``#2``.
        group: The sequence, patient or field that it belongs to; the image itself where the data does not say.
        classes: For each class that occurs: its id, the pixels that target and prediction both give it, those of the
            prediction, and those of the target.
    """

    image: str
    group: str
    classes: tuple[tuple[int, int, int, int], ...]


def write_image_counts(
    file: Path, counts: Sequence[tuple[str, Sequence[Sequence[int]]]], groups: Mapping[str, str]
) -> None:
    """Write the counts of a validation, whole or not at all.

    Args:
        file: Where to.
        counts: For each image its name and the rows of its classes, see :class:`ImageCounts`.
        groups: Of the images that have one, by name.
    """
    lines: list[Sequence[Any]] = [COLUMNS]
    seen: dict[str, int] = {}
    for image, rows in sorted(counts, key=lambda one: one[0]):
        seen[image] = seen.get(image, 0) + 1
        name = image if seen[image] == 1 else f"{image}#{seen[image]}"
        lines += [[name, groups.get(image, ""), *row] for row in rows]
    atomic_write(file, csv_text(lines).encode())


def read_image_counts(file: Path, num_classes: int) -> list[ImageCounts]:
    """Return what was counted in each image, in the file's order; nothing for a run that wrote no such file.

    Raises:
        DataError: It is not what segup writes.
    """
    try:
        lines = read_text(file, _MOST)
    except FileNotFoundError:
        return []
    found: dict[str, tuple[str, list[tuple[int, int, int, int]]]] = {}
    try:
        reader = csv.reader(io.StringIO(lines, newline=""), strict=True)
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"its first line is not {','.join(COLUMNS)}")
        for image, group, *numbers in reader:
            number, both, predicted, true = map(int, numbers)
            whole = 0 <= both <= min(predicted, true) and max(predicted, true) <= _LARGEST
            if not (whole and 0 <= number < num_classes):
                raise ValueError(f"'{visible(image)}' has the counts {numbers}")
            found.setdefault(visible(image), (visible(group or image), []))[1].append((number, both, predicted, true))
    except (csv.Error, ValueError) as cause:
        raise DataError(f"{file} is not what segup writes: {cause}") from cause
    return [ImageCounts(image, group, tuple(rows)) for image, (group, rows) in found.items()]
