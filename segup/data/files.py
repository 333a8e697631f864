"""What lies in an image file: its size without decoding it, its raw bands, and one error for whatever is wrong."""

import importlib
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from segup.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy")
ORIENTATION = 0x0112
_SAMPLES_PER_PIXEL = 277
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What decoders raise over bytes that are not what they should be.
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, LookupError, struct.error, zlib.error)

# How the formats that are stored in one piece begin and end.
_ENDINGS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND"}
_TAIL = 4096

R = TypeVar("R")


def reading(path: Path, read: Callable[[Path], R]) -> R:
    """Call ``read(path)``; whatever a decoder raises over a bad file becomes one DataError that names the file."""
    try:
        return read(path)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Image.DecompressionBombError as cause:
        raise DataError(f"{path}: {cause}; raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file") from None
    except _BROKEN as cause:
        reason = "unknown format" if isinstance(cause, UnidentifiedImageError) else str(cause).strip() or repr(cause)
        raise DataError(f"{path}: not a readable image, or cut short ({reason.splitlines()[0]})") from cause


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the file's header alone, with a camera's orientation followed.

    Raises:
        DataError: When the file is missing or not an image.
    """
    return reading(path, _oriented_size)


def check_whole(path: Path) -> None:
    """Find a JPEG or PNG that was cut short from its last bytes, without decoding it.

    A file whose end mark is not among them (some programs append data of their own) is decoded to find out.

    Raises:
        DataError: When the file is missing or cut short.
    """
    reading(path, _check_ending)


def read_array(path: Path, mmap: bool = False) -> np.ndarray:
    """Return a ``.npy`` file as (H, W, C)."""
    array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.dtype.kind not in "uif" or not array.size:
        raise DataError(f"{path}: {array.dtype} of shape {array.shape}, where numbers of (H, W) or (H, W, C) are read")
    return array


def read_bands(path: Path) -> np.ndarray | None:
    """Return a TIFF of several pages or of bands that Pillow does not know as (H, W, C); None for any other file."""
    layout = _layout(path)
    if layout == "pages":
        with Image.open(path) as file:
            pages = [np.asarray(page) for page in ImageSequence.Iterator(file)]
        if any(page.ndim != 2 or page.shape != pages[0].shape for page in pages):
            raise DataError(f"{path}: {len(pages)} pages that are not one grey channel each of the same size")
        return np.stack(pages, axis=-1)
    if layout == "bands":
        with _tifffile(path).TiffFile(path) as file:
            series = file.series[0]
            bands: np.ndarray = series.asarray()
            return np.moveaxis(bands, 0, -1) if series.axes.startswith(("S", "C")) and bands.ndim == 3 else bands
    return None


def _oriented_size(path: Path) -> tuple[int, int]:
    if path.suffix.lower() == ".npy":
        array = read_array(path, mmap=True)
        return array.shape[0], array.shape[1]
    if _layout(path) == "bands":
        with _tifffile(path).TiffFile(path) as file:
            page = file.pages[0]
            return page.imagelength, page.imagewidth
    with Image.open(path) as file:
        # Pillow decodes a whole PNG to look for a note behind the pixels; what stands before them must do here.
        noted = file.format != "PNG" or "exif" in file.info
        turned = noted and file.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return file.size if turned else (file.height, file.width)


def _check_ending(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(max(map(len, _ENDINGS)))
        mark = next((mark for magic, mark in _ENDINGS.items() if head.startswith(magic)), None)
        if mark is None:
            return
        file.seek(-min(_TAIL, path.stat().st_size), os.SEEK_END)
        if mark in file.read():
            return
    with Image.open(path) as picture:
        picture.load()


def _layout(path: Path) -> str:
    """Return "picture" (Pillow reads it whole), "pages" (a channel per page) or "bands" (Pillow cannot)."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return "picture"
    try:
        with Image.open(path) as file:
            tags: Any = getattr(file, "tag_v2", {})
            if tags.get(_SAMPLES_PER_PIXEL, 1) not in (1, len(file.getbands())):
                return "bands"
            return "pages" if getattr(file, "n_frames", 1) > 1 else "picture"
    except (UnidentifiedImageError, ValueError):
        with path.open("rb") as head:
            if head.read(4) not in _TIFF_MAGIC:
                raise
        return "bands"


def _tifffile(path: Path) -> Any:
    try:
        return importlib.import_module("tifffile")
    except ImportError:
        raise DataError(
            f"{path}: Pillow cannot read the bands of this TIFF: pip install tifffile, "
            "or save the image as .npy of (H, W, C)"
        ) from None
