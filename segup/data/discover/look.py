"""What one picture holds: its size and type, its values, what it looks like from afar, and whether it is a mask."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_NO_MASK = -2.0


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


_MASK_WORDS = frozenset(
    re.findall(
        r"\w+",
        """mask masks label labels labelids annot annots annotation annotations gt groundtruth truth ground seg segs
        segmentation segmentations segmentationclass segmentationobject manual target targets trimap trimaps matte
        mattes class classes lab lbl lbls msk msks semantic semantics instance instances panoptic""",
    )
)
_IMAGE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """image images img imgs im rgb photo photos jpegimages picture pictures pic pics input inputs frame frames raw
        scan scans sat original originals""",
    )
)


@dataclass(frozen=True)
class Cluster:
    """Files of one folder, of one extension, whose names begin and end alike: ``mask_`` or ``_mask``."""

    folder: str
    extension: str
    beginning: str
    ending: str


def clusters(paths: Iterable[Path], root: Path) -> dict[Cluster, list[Path]]:
    """Return pictures by their cluster; an ending counts where several names of the folder have it."""
    folders: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        folders.setdefault((path.parent.relative_to(root).as_posix(), path.suffix.lower()), []).append(path)
    found: dict[Cluster, list[Path]] = {}
    for (folder, extension), files in folders.items():
        common = []
        for part in (_beginning, _ending):
            parts = Counter(part(path.stem) for path in files)
            common.append({text for text, count in parts.items() if count > 1 or len(files) == len(parts) <= 3})
        for path in files:
            ends = [part(path.stem) for part in (_beginning, _ending)]
            kept = [text if text in known else "" for text, known in zip(ends, common, strict=True)]
            found.setdefault(Cluster(folder, extension, *kept), []).append(path)
    return found


def likeness(cluster: Cluster, looked: Sequence[Looked]) -> float | None:
    """Return how much a cluster looks like masks, above 0 if it does; None where none of its pictures can be read."""
    seen = [one for one in looked if one.fault is None]
    if not seen:
        return None
    return float(np.median([_content(one) for one in seen])) + _name(cluster)


def _content(one: Looked) -> float:
    """Return how much a picture looks like a mask: few values, equal neighbours."""
    area = one.size[0] * one.size[1]
    if one.lossy:
        main = sum(one.values.values()) / max(1, area)
        return 0.3 if len(one.values) <= 12 and main > 0.97 and one.smooth > 0.6 else -1.0
    if one.channels not in (1, 3, 4) or (one.dtype.startswith("float") and one.different > 64):
        return -3.0
    if one.different <= 2:
        return 1.0 if one.colors else 2.0
    if one.different <= 40 and one.different * 4 < area:
        return 1.2 if one.smooth > 0.4 else 0.6
    return 0.5 if one.smooth > 0.85 and not one.colors else -3.0


def _name(cluster: Cluster) -> float:
    """Return how much names speak for a mask: the ending most, then the innermost folder that says something."""
    for text in (cluster.ending, cluster.beginning, *reversed(cluster.folder.split("/"))):
        words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())) | {text.lower()}
        if words & _MASK_WORDS:
            return 1.5
        if words & _IMAGE_WORDS:
            return -1.5
    return 0.0


def _beginning(stem: str) -> str:
    match = re.match(r"[A-Za-z]+[_\-. ]", stem)
    return match[0] if match else ""


def _ending(stem: str) -> str:
    match = re.search(r"([_\-. ]|^)([A-Za-z][A-Za-z0-9]*)$", stem)
    numbered = re.search(r"[_\-. ]([A-Za-z]+)(?=[_\-. ]?\d+$)", stem)  # a second mask of an image: a_mask_1
    if numbered is not None and numbered[1].lower() in _MASK_WORDS:
        return numbered[0]
    return match[0] if match else ""


def divided(
    scores: Mapping[Cluster, float | None], files: Mapping[Cluster, list[Path]]
) -> tuple[list[Path], list[Path]]:
    """Return the images and the masks.

    If all clusters look alike, those that look more like masks than halfway between the extremes are the masks,
    unless neither content nor name speaks for it.
    """
    known = {cluster: score for cluster, score in scores.items() if score is not None}
    low, high = min(known.values(), default=0.0), max(known.values(), default=0.0)
    alike = high - low < 0.5 or high < _NO_MASK
    least = 0.0 if low <= 0 < high or alike else (low + high) / 2
    images = [path for cluster, score in known.items() if score <= least for path in files[cluster]]
    masks = [path for cluster, score in known.items() if score > least for path in files[cluster]]
    return sorted(images), sorted(masks)
