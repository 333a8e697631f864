"""The numbers a person explains a layer with: counted, drawn, typed or read from a file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segup.errors import DataError, ShapeError, refusals_named, unknown
from segup.explain.amount import check_numbers
from segup.explain.numbers import Array

WORDS = ("ones", "arange", "random")


def numbers(word: str, what: str, shape: Sequence[int], seed: int = 0, low: int = 0, high: int = 9) -> Array:
    """Return an array of ``shape``.

    Args:
        word: "ones"; "arange", 1, 2, 3, … row by row; "random", whole numbers from ``low`` to ``high``; numbers typed
            as ``[[1,2],[3,4]]``; or the name of a .npy, .json, .csv or .txt file.
        what: What they are, for messages.
        shape: The shape; typed and read numbers may leave out leading axes of length 1.
        seed: Of the random ones.
        low, high: Their range.

    Raises:
        DataError: The file cannot be read or holds no table of numbers.
        ShapeError: It holds another shape.

    >>> numbers("arange", "weight", (2, 2)).tolist(), numbers("[[2,4],[0,1]]", "x", (1, 2, 2)).shape
    ([[1, 2], [3, 4]], (1, 2, 2))
    """
    check_numbers(what, shape)
    if word == "ones":
        return np.ones(shape, dtype=np.int64)
    if word == "arange":
        return np.arange(1, int(np.prod(shape)) + 1).reshape(shape)
    if word == "random":
        if seed < 0:
            raise ShapeError(f"the seed must be 0 or more, not {seed}.\n  try: 0.")
        return np.random.default_rng(seed).integers(low, high + 1, size=shape)
    found = given(word, what)
    trimmed = tuple(shape)
    while len(trimmed) > found.ndim and trimmed[0] == 1:
        trimmed = trimmed[1:]
    if found.shape != trimmed:
        raise ShapeError(
            f"{what} has the shape {_spelled(found.shape)}, and {_spelled(tuple(shape))} is needed here.\n"
            f"  try: {int(np.prod(shape))} numbers in that shape, or {what} arange."
        )
    return found.reshape(shape)


def is_given(word: str) -> bool:
    """Return whether ``word`` holds its own numbers, typed or in a file, so that they say their shape."""
    return word not in WORDS


def given(word: str, what: str) -> Array:
    """Return typed numbers, or those of a file."""
    if word.lstrip().startswith("["):
        return _table(word, what, "typed")
    if not word.strip():
        raise DataError(f"{what}: nothing is named.\n  try: ones, arange or random.")
    path = Path(word)
    if not path.suffix and not path.exists():
        raise DataError(
            f"{what}: {unknown('values', word, WORDS)}; or the numbers themselves, as [[1,2],[3,4]], or the name of a "
            f".npy, .json, .csv or .txt file."
        )
    with refusals_named():
        if path.suffix.lower() == ".npy":
            return _numeric(_npy(path), what, str(path))
        text = path.read_text(encoding="utf-8-sig", errors="replace")  # Excel begins with a byte order mark
    if path.suffix.lower() == ".json":
        return _table(text, what, str(path))
    return _numeric(_rows(text, path), what, str(path))


def _rows(text: str, path: Path) -> Array:
    """Return the table in a text: cells between commas, semicolons, tabs or spaces; after a # nothing is read."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if any(";" in line and "," in line for line in lines):
        raise DataError(
            f"{path} has commas and semicolons in one line, so that a comma might divide cells or be a decimal comma.\n"
            f"  try: semicolons alone, and decimal points."
        )
    try:
        cells = [[_number(cell) for cell in _cells(line)] for line in lines if line]
        if not cells:
            raise ValueError
        return np.array(cells)
    except ValueError:
        raise DataError(f"{path} holds no table of numbers: rows of equally many numbers are needed.") from None


def _cells(line: str) -> list[str]:
    """Return the cells of a line; one left empty stays, to be refused, except behind a separator at the end.

    >>> _cells("1, 2,"), _cells("1;;2"), _cells("1  2")
    (['1', '2'], ['1', '', '2'], ['1', '2'])
    """
    for separator in (";", ","):
        if separator in line:
            return [cell.strip() for cell in line.removesuffix(separator).split(separator)]
    return line.split()


def _npy(path: Path) -> Array:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as cause:
        raise DataError(f"{path} cannot be read as an array of numbers: {cause}") from None


def _table(text: str, what: str, place: str) -> Array:
    try:
        found = np.array(json.loads(text))
    except ValueError as cause:
        raise DataError(
            f"{what} ({place}) cannot be read as nested lists of numbers of equal length: {cause}\n"
            f"  try: [[1,2],[3,4]]."
        ) from None
    return _numeric(found, what, place)


def _number(cell: str) -> int | float:
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def _numeric(array: Array, what: str, place: str) -> Array:
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind not in "iuf" or array.size == 0 or not np.isfinite(array.astype(float)).all():
        raise DataError(f"{what} ({place}) must be finite numbers, and at least one.")
    return array


def _spelled(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "of a single number"
