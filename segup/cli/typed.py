"""Sizes and places as a person types them."""

import re
from typing import TYPE_CHECKING

from segup.errors import ShapeError

if TYPE_CHECKING:
    from segup.shapes.arguments import Size


def read_size(words: list[str]) -> "Size":
    """Return a size of one number, of ``HEIGHTxWIDTH``, or of two numbers.

    >>> read_size(["417"]), read_size(["360x480"]), read_size(["360×480"]), read_size(["360", "480"])
    (417, (360, 480), (360, 480), (360, 480))
    """
    parts = [part for word in words for part in size_parts(word)]
    if len(parts) > 2 or not all(re.fullmatch("[+-]?[0-9]+", part) for part in parts):
        raise ShapeError(
            f"a size is one whole number or HEIGHTxWIDTH, such as 417 or 360x480, not '{' '.join(words)}'."
        )
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def size_parts(text: str) -> list[str]:
    """Return what stands between the signs of a size.

    >>> size_parts("3x6x6"), size_parts("5X5"), size_parts("5×5")
    (['3', '6', '6'], ['5', '5'], ['5', '5'])
    """
    return re.split("[xX×]", text)


def input_size(text: str) -> tuple[int, ...]:
    """Return an input's size: (height, width), or (channels, height, width)."""
    parts = size_parts(text)
    if len(parts) not in (1, 2, 3) or not all(part.isdecimal() and int(part) for part in parts):
        raise ShapeError(f"--input is HEIGHTxWIDTH, or CHANNELSxHEIGHTxWIDTH, such as 4x4 or 3x6x6, not '{text}'.")
    numbers = tuple(map(int, parts))
    return numbers * 2 if len(numbers) == 1 else numbers


def read_pair(text: str) -> tuple[int, int]:
    """Return a height and a width; one number is both."""
    size = read_size([text])
    return size if isinstance(size, tuple) else (size, size)


def read_place(text: str) -> tuple[int, int]:
    """Return a row and a column of the output."""
    parts = text.replace(" ", "").strip("[]()").split(",")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ShapeError(f"--at is ROW,COLUMN of the output, counted from 0, such as 0,1, not '{text}'.")
    return int(parts[0]), int(parts[1])
