"""What a person hands in, checked once: whole numbers, (height, width) pairs and sizes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from operator import index
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from segup.calls import is_flag
from segup.conform import short
from segup.errors import ShapeError

MOST = 4096
"""So many numbers to try are taken."""
Size: TypeAlias = int | tuple[int, int]
T = TypeVar("T")

AXIS_NAMES = ("height", "width")


def whole(value: object, name: str, least: int = 0) -> int:
    """Return ``value`` as an int of at least ``least``; anything else is a ShapeError that names the field.

    >>> whole(3, "stride", 1)
    3
    >>> whole(0, "stride", 1)
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: stride must be an int of at least 1, not 0.
    """
    if isinstance(value, int) or type(value).__name__ == "SymInt":
        # A symbolic size, of torch.compile or torch.export, stays symbolic: index() would fix it to one value.
        number: int = value  # type: ignore[assignment]
    else:
        number = _index(value, name, least)
    if isinstance(value, bool) or number < least:
        kind = " (a bool)" if isinstance(value, bool) else ""
        raise ShapeError(f"{name} must be an int of at least {least}, not {value}{kind}.")
    return number


def _index(value: object, name: str, least: int) -> int:
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        hint = f"; try {int(value)}" if isinstance(value, float) and value.is_integer() else ""
        raise ShapeError(
            f"{name} must be an int of at least {least}, not {value!r} (a {type(value).__name__}){hint}."
        ) from None


def several(values: object, name: str, least: int = 0) -> list[int]:
    """Return the ints of at least ``least`` that ``values`` holds; a text, a lone number or far too many are refused.

    >>> several(range(1, 4), "strides", 1)
    [1, 2, 3]
    >>> several(3, "strides", 1)
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: strides must be a list of ints of at least 1, not 3.
      try: [3].
    """
    if not isinstance(values, Iterable) or isinstance(values, str | bytes) or getattr(values, "ndim", 1) != 1:
        hint = f"\n  try: [{values}]." if isinstance(values, int) and values >= least else ""
        raise ShapeError(f"{name} must be a list of ints of at least {least}, not {short(values)}.{hint}")
    found = list(islice(values, MOST + 1))
    if len(found) > MOST:
        raise ShapeError(f"{name} holds more than {MOST} numbers.\n  try: {found[:3]}.")
    return [whole(value, name, least) for value in found]


def flag(value: object, name: str) -> bool:
    """Return True or False as it is; anything else is a ShapeError that names the field.

    >>> flag("no", "exact")
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: exact must be True or False, not 'no'.
    """
    if not is_flag(value):
        raise ShapeError(f"{name} must be True or False, not {short(value)}.")
    return bool(value)


def is_pair(value: object) -> bool:
    """Return whether ``value`` is a tuple or list, the form of a (height, width) pair."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def two(value: object, name: str) -> tuple[object, object]:
    """Return the height's and the width's part of one value for both or of a pair.

    >>> two(3, "padding"), two((1, 2), "padding")
    ((3, 3), (1, 2))
    >>> two((1, 2, 3), "padding")
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: padding must be one value or a (height, width) pair, not (1, 2, 3).
    """
    if not is_pair(value):
        return value, value
    if len(value) != 2:  # type: ignore[arg-type]
        raise ShapeError(f"{name} must be one value or a (height, width) pair, not {value!r}.")
    return value[0], value[1]  # type: ignore[index]


def one_or_pair(value: object, name: str, check: Callable[[object, str], T]) -> T | tuple[T, T]:
    """Check both parts of ``value`` and return them as one value where they are equal, else as a pair.

    >>> one_or_pair((3, 3), "kernel_size", whole), one_or_pair([3, 1], "kernel_size", whole)
    (3, (3, 1))
    """
    height, width = (check(part, name) for part in two(value, name))
    return height if height == width and type(height) is type(width) else (height, width)


def one_or_pair_of_ints(value: object, name: str, least: int = 0) -> Size:
    """Check an int or a pair of ints of at least ``least`` and return it in its shortest form."""
    return one_or_pair(value, name, lambda part, field: whole(part, field, least))


def height_width(size: object) -> tuple[int, int]:
    """Return a size, an int of at least 1 or a pair of them, as (height, width).

    >>> height_width(7), height_width([7, 8])
    ((7, 7), (7, 8))
    """
    names = AXIS_NAMES if is_pair(size) else ("size", "size")
    return per_axis(lambda i: whole(two(size, "size")[i], names[i], 1))


def per_axis(rule: Callable[[int], T]) -> tuple[T, T]:
    """Return what a rule gives for the height, axis 0, and for the width, axis 1."""
    return rule(0), rule(1)


def split(value: T | tuple[T, T]) -> tuple[T, T]:
    """Return a value in its shortest form as (height, width)."""
    return value if isinstance(value, tuple) else (value, value)


DEFAULTS: Mapping[str, object] = MappingProxyType({"s": 1, "p": 0, "d": 1, "op": 0, "g": 1})


def spell(kind: str, **values: object) -> str:
    """Return a layer in the layer language, without what is torch's default.

    >>> spell("conv", k=(3, 1), s=2, p=0)
    'conv k3x1 s2'
    """
    said = [f"{name}{figure(value)}" for name, value in values.items() if value != DEFAULTS.get(name)]
    return " ".join([kind, *said])


def figure(value: object) -> str:
    """Return one value or a pair in the layer language.

    >>> figure(3), figure((3, 1))
    ('3', '3x1')
    """
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def shown(value: object) -> str:
    """Return a size, a pair of them, or nothing for None.

    >>> shown(3), shown((3, 1)), shown(None)
    ('3', '3×1', '')
    """
    return "" if value is None else figure(value).replace("x", "×")


def span(sizes: range) -> str:
    """Return a range of sizes in words; ``len`` would end at 2⁶³.

    >>> span(range(3, 5)), span(range(3, 4)), span(range(0)), span(range(1, 10**30))
    ('3 … 4', '3', 'no size of at least 1', '1 … 999999999999999999999999999999')
    """
    if not sizes:
        return "no size of at least 1"
    return str(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]} … {sizes[-1]}"
