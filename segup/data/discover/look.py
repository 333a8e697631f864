"""What one picture holds: its size and type, its values, and what it looks like from afar."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from segup.data.headers import check_pixels, read_header
from segup.data.mask_files import MaskPixels, read_mask_pixels
from segup.errors import DataError

MOST_VALUES = 300
"""More different values than that are no classes."""
MAX_PIXELS = 100_000_000
_FEW_FILES = 48
_HASH = 8
_FLAT = 3


@dataclass(frozen=True)
class Looked:
    """What a picture holds.

    Attributes:
        path: The file.
        size: (height, width).
        channels, dtype: As its header says.
        low, high: The least and the largest value.
        values: How many pixels hold each value, or each colour 0xRRGGBB; empty where there are too many.
        different: The number of different values or colours, at most :data:`MOST_VALUES` + 1.
        colors: Whether the values are colours.
        palette: The colour of each index that occurs, for a picture with a palette.
        smooth: The share of pixels that equal their neighbour to the right.
        lossy: Whether compression changed the values.
        print: 64 bits that similar pictures share; None for a flat picture.
        fault: Why it cannot be read; all else is then empty.
    """

    path: Path
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    dtype: str = ""
    low: float = 0
    high: float = 0
    values: dict[int, int] = field(default_factory=dict)
    different: int = 0
    colors: bool = False
    palette: dict[int, int] | None = None
    smooth: float = 0.0
    lossy: bool = False
    print: int | None = None
    fault: str | None = None


def look(path: Path) -> Looked:
    """Read a picture and return what it holds; what is wrong with it is its ``fault``."""
    try:
        header = read_header(path)
        check_pixels(path, header, MAX_PIXELS)
        mask = _pixels(path, header.channels)
    except DataError as cause:
        return Looked(path, fault=str(cause).splitlines()[0])
    pixels = mask.values
    if mask.palette is not None and not mask.ordered:  # the order of a GIF's palette says nothing
        pixels = np.maximum(mask.palette, 0).astype(np.uint8)[pixels]
        pixels = pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels
    flat = pixels if pixels.ndim == 2 else pixels.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    numbers, counts = np.unique(flat, return_counts=True)
    few = len(numbers) <= MOST_VALUES
    palette = None
    if mask.palette is not None and mask.ordered and few:
        entries = np.maximum(mask.palette[numbers].astype(np.int64), 0) @ np.array([1 << 16, 1 << 8, 1])
        palette = dict(zip(numbers.tolist(), entries.tolist(), strict=True))
    kept = dict(zip(numbers.tolist(), counts.tolist(), strict=True)) if few or mask.lossy else {}
    if len(kept) > MOST_VALUES:
        kept = _main(numbers, counts, pixels.ndim == 3)
    return Looked(
        path,
        header.size,
        header.channels,
        str(header.dtype),
        float(pixels.min()),
        float(pixels.max()),
        kept,
        min(len(numbers), MOST_VALUES + 1),
        pixels.ndim == 3,
        palette,
        float((flat[:, 1:] == flat[:, :-1]).mean()) if flat.shape[1] > 1 else 1.0,
        mask.lossy,
        _print(pixels),
    )


def look_at_all(
    paths: Sequence[Path], processes: int, told: Callable[[Iterator[Looked], int], Iterator[Looked]]
) -> list[Looked]:
    """Look at many pictures, in several processes where there are many.

    Args:
        paths: The files.
        processes: At most so many.
        told: Passes what is looked at on, and shows how far it is.
    """
    if len(paths) <= _FEW_FILES or processes < 2:
        return list(told(map(look, paths), len(paths)))
    # The processes begin before a progress bar's thread does.
    with ProcessPoolExecutor(processes, get_context("fork") if hasattr(os, "fork") else None) as pool:
        return list(told(pool.map(look, paths, chunksize=8), len(paths)))


def distance(one: int, other: int) -> int:
    """Return in how many bits two prints differ."""
    return (one ^ other).bit_count()


def _pixels(path: Path, channels: int) -> MaskPixels:
    """Return the pixels as a mask's; where they can be none, those of an image."""
    from segup.data.files import reading
    from segup.data.images import read_pixels

    try:
        return reading(path, read_mask_pixels)
    except DataError:
        given = read_pixels(path, channels)
        return MaskPixels(given[..., 0] if given.shape[2] != 3 or given.dtype != np.uint8 else given)


def _main(numbers: np.ndarray, counts: np.ndarray, colors: bool) -> dict[int, int]:
    """Return the commonest values that lie well apart, with the pixels that lie near each: JPEG spreads a value."""
    found: dict[int, int] = {}
    parts = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], -1) if colors else numbers[:, np.newaxis]
    left = counts.astype(np.int64).copy()
    for _ in range(24):
        peak = int(left.argmax())
        if left[peak] < max(1, counts.sum() // 1000):
            break
        near = np.abs(parts - parts[peak]).max(axis=-1) <= 32
        found[int(numbers[peak])] = int(left[near].sum())
        left[near] = 0
    return found


def _print(pixels: np.ndarray) -> int | None:
    """Return the difference hash of a picture: 64 times, whether it gets brighter to the right."""
    import cv2

    grey = pixels.astype(np.float32)
    small = cv2.resize(grey.mean(axis=-1) if grey.ndim == 3 else grey, (_HASH + 1, _HASH), interpolation=cv2.INTER_AREA)
    if np.ptp(small) <= _FLAT * 1e-2 * max(1.0, float(np.abs(grey).max())):
        return None
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)
