"""Which values the pixels of a data set span, so that its images come as 0 … 1."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from segup.calls import accepts
from segup.conform import Within
from segup.data.headers import Header
from segup.errors import ConfigError, DataError

Range = tuple[float, float] | Literal["dtype"]
"""What becomes 0 and 1; "dtype": each file by its own type, 8 bits 0…255, 16 bits 0…65535, floats 0…1."""

_EIGHT_BITS = (0, 255)
_Finite = Annotated[float, Within()]
_READERS = 4


def check_range(value: Any, option: str = "data.image_range") -> Range | None:
    """Return ``data.image_range``, or the argument of that name, as a value; None where it is to be found.

    >>> check_range([0, 4095]), check_range("dtype"), check_range(None)
    ((0, 4095), 'dtype', None)

    Raises:
        ConfigError: For anything but [low, high], "dtype" or None.
    """
    if value is None or (isinstance(value, str) and value == "dtype"):
        return "dtype" if value else None
    if not accepts(tuple[_Finite, _Finite], value) or not value[0] < value[1]:
        typed = "." in option
        forms = ("[low, high]", "null", "[0,255]") if typed else ("(low, high)", "None", "(0, 255)")
        raise ConfigError(
            f"{option}={value!r} must be {forms[0]} with low < high, {'dtype' if typed else repr('dtype')} (each file "
            f"by its own type) or {forms[1]} (that of the training images).\n  try: {option}={forms[2]}"
        )
    return value[0], value[1]


def find_range(images: Sequence[tuple[Path, Header]], read: Callable[[Path], np.ndarray]) -> tuple[Range, str]:
    """Return the range of a data set's training images, and from what it is known.

    8-bit images span 0…255. Others span what their headers declare; where nothing is declared, their largest values,
    which are read, brought up to a power of two: 0…4095 for a 12-bit camera's.

    Args:
        images: Each training image with its header.
        read: Returns a file's pixels (H, W, C).

    Raises:
        DataError: When images differ in kind (8 bits, 16 bits, floating-point), or hold a value that is no number.
    """
    kinds: dict[str, Path] = {}
    for path, header in images:
        kinds.setdefault(_kind(header.dtype), path)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise DataError(
            f"{first} holds {one} values, {second} {other} ones: one range does not fit both.\n  try: "
            f"data.image_range=dtype (each file by its own type: 8 bits 0…255, 16 bits 0…65535, floats 0…1)."
        )
    kind = next(iter(kinds))
    if kind == "8-bit":
        return _EIGHT_BITS, kind
    declared = max((header.bits or 0 for _, header in images), default=0)
    if declared and all(header.bits and path.suffix.lower() != ".png" for path, header in images):
        return (0, 2**declared - 1), f"{kind}, {declared} bits declared"
    low, high = _extremes([path for path, _ in images], read)
    if declared and low >= 0 and high < 2**declared:
        return (0, 2**declared - 1), f"{kind}, {declared} bits declared"
    return widened(low, high, kind), f"{kind}, from {low:.10g} to {high:.10g} in the training images"


def widened(low: float, high: float, kind: str = "16-bit") -> tuple[float, float]:
    """Return the range of values seen: to the next power of two, since other images of the set may hold larger ones.

    >>> widened(3, 4011), widened(-1000, 3071), widened(0.0, 0.8, "floating-point"), widened(0, 1.5, "floating-point")
    ((0, 4095), (-1024, 4095), (0, 1), (0, 2))
    """
    floating = kind == "floating-point"
    top = _power(high if floating else high + 1)
    if not floating or (top >= 256 and high <= top - 1):
        top -= 1  # the largest number of so many bits
    return -_power(-low) if low < 0 else 0, max(1 if floating or low < 0 else 255, top)


def to_unit(pixels: np.ndarray, image_range: Range, path: Path) -> np.ndarray:
    """Return pixels (H, W, C) as float32 in 0…1, or as uint8 where these are the same.

    Raises:
        DataError: For values outside the range, and for an image of another kind than it is meant for.
    """
    low, high = _of_type(pixels, path) if image_range == "dtype" else image_range
    if pixels.dtype == np.uint8 and (low, high) == _EIGHT_BITS:
        return np.ascontiguousarray(pixels)
    _check_fit(pixels, low, high, path)
    scaled = pixels.astype(np.float32)
    if (low, high) != (0, 1):
        scaled = (scaled - np.float32(low)) / np.float32(high - low)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _check_fit(pixels: np.ndarray, low: float, high: float, path: Path) -> None:
    kind = _kind(pixels.dtype)
    least, most = _ends(pixels)
    found = f"{path}: {kind} values from {least:.10g} to {most:.10g}, where {low:.10g}…{high:.10g} is allowed"
    if not (low <= least and most <= high):
        if not np.isfinite((least, most)).all():
            raise DataError(f"{found}; replace what is no number")
        ends = widened(min(least, low), max(most, high), "16-bit" if float(high).is_integer() and high > 1 else kind)
        raise DataError(f"{found}; {_covering(ends)}")
    shares = kind == "floating-point" and high >= 255 and 0 < most <= 1 and bool((pixels != np.rint(pixels)).any())
    if shares or (kind == "8-bit" and high > 255):
        own = "0…255" if kind == "8-bit" else "0…1"
        raise DataError(
            f"{path}: {kind} values in {own}, and the range of the data set is {low:.10g}…{high:.10g}: "
            f"the image would be nearly black. Rescale the file "
            f"(segup predict: --image-range {own.replace('…', ',')}, if all images are like this; "
            f"model.predict: image_range=({own.replace('…', ',')}))"
        )


def _kind(dtype: np.dtype) -> str:
    if dtype.kind == "f":
        return "floating-point"
    return f"{8 * dtype.itemsize}-bit" if dtype.kind == "u" else f"{8 * dtype.itemsize}-bit signed"


def _covering(ends: tuple[float, float]) -> str:
    given = ",".join(f"{end:.12g}" for end in ends)
    return (
        f"data.image_range=[{given}] covers them "
        f"(segup predict: --image-range {given}; model.predict: image_range=({given}))"
    )


def _of_type(pixels: np.ndarray, path: Path) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        return 0, 1
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return _EIGHT_BITS if pixels.dtype.itemsize == 1 else (0, 65535)
    least, most = _ends(pixels)
    raise DataError(
        f"{path}: {_kind(pixels.dtype)} values from {least:.10g} to {most:.10g}, and a type of so many bits does not "
        f"say what is white; {_covering(widened(least, most))}"
    )


def _extremes(paths: Sequence[Path], read: Callable[[Path], np.ndarray]) -> tuple[float, float]:
    with ThreadPoolExecutor(_READERS) as readers:
        ends = list(readers.map(partial(_file_ends, read=read), paths))
    return min(low for low, _ in ends), max(high for _, high in ends)


def _file_ends(path: Path, read: Callable[[Path], np.ndarray]) -> tuple[float, float]:
    least, most = _ends(read(path))
    if not np.isfinite((least, most)).all():
        raise DataError(f"{path}: values from {least:.10g} to {most:.10g}; replace what is no number")
    return least, most


def _ends(pixels: np.ndarray) -> tuple[float, float]:
    return (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)


def _power(value: float) -> float:
    """Return the smallest power of two that is not below ``value``, as an int where it is one; 0 for nothing."""
    if value <= 0:
        return 0
    power = float(2.0 ** np.ceil(np.log2(value)))
    return int(power) if power >= 1 else power
