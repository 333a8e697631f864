"""What a person hands to an operator, checked beyond its annotation: groups, and the size asked for.

Each refusal gives the value, the rule, and a value that would do.
"""

from collections.abc import Sequence
from operator import index
from typing import Any

import torch

from segup.calls import is_flag
from segup.errors import ConfigError, ShapeError
from segup.upsamplers.fitting import Size


def check_groups(name: str, groups: int, channels: int, whose: str = "in_channels", what: str = "groups") -> None:
    """Raise a ConfigError unless ``groups``, called ``what``, divides ``channels``, called ``whose``."""
    if channels % groups:
        nearest = max(n for n in range(1, min(groups, channels) + 1) if channels % n == 0)
        raise ConfigError(
            f"'{name}': {what}={groups} must divide {whose}={channels}: "
            f"{channels} mod {groups} = {channels % groups}\n  try: {what}={nearest}"
        )


def checked_size(size: Size) -> Size:
    """Return ``size`` as height and width; a ShapeError for anything but a pair of ints of 1 or more, of any library.

    >>> checked_size((7.0, 8))
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: size must be (height, width), ints of 1 or more, not (7.0, 8)
      try: size=(7, 8)
    """
    if isinstance(size, Sequence) and len(size) == 2:
        if torch.jit.is_tracing():  # where sizes are tensors
            return size[0], size[1]
        height, width = _pixels(size[0]), _pixels(size[1])
        if height is not None and width is not None:
            return height, width
    raise ShapeError(f"size must be (height, width), ints of 1 or more, not {_as_text(size)}\n  try: {_instead(size)}")


def _pixels(number: Any) -> int | None:
    """Return an int of any library as a plain one, and a symbol as it is; None for anything else, and below 1.

    Only what has ``__index__`` is tried: torch.compile follows no error that is caught, and asks no float of its own.
    """
    if not isinstance(number, int | float | torch.SymInt | torch.SymFloat) and hasattr(number, "__index__"):
        try:
            number = index(number)
        except TypeError:
            return None
    whole = isinstance(number, int | torch.SymInt) and not isinstance(number, bool)
    return number if whole and number >= 1 else None


def _as_text(value: object) -> str:
    """Return a size as a person wrote it; symbols, which torch.compile may hold, are given by their values."""
    if isinstance(value, tuple | list):
        parts = ", ".join([_as_text(n) for n in value])
        comma = "," if len(value) == 1 and isinstance(value, tuple) else ""
        return f"[{parts}]" if isinstance(value, list) else f"({parts}{comma})"
    if isinstance(value, bool) or not isinstance(value, int | float | torch.SymInt | torch.SymFloat):
        return repr(value)
    return f"{int(value)}" if isinstance(value, int | torch.SymInt) else f"{float(value)}"


def _instead(size: object) -> str:
    numbers = [_meant(n) for n in size] if isinstance(size, tuple | list) else [_meant(size)] * 2
    if len(numbers) != 2 or any(n is None or n < 1 for n in numbers):
        return "size=skip.shape[-2:], or another map's"
    return f"size=({numbers[0]}, {numbers[1]})"


def _meant(value: object) -> int | None:
    """Return the whole number that ``value`` stands for in another type; None where there is none."""
    if is_flag(value):
        return None
    try:
        number = int(value)  # type: ignore[call-overload]
        return number if isinstance(value, str) or bool(number == value) else None
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
