"""What lies in an image file: its size without decoding it, its raw bands, and one error for whatever is wrong."""

import importlib
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageFile, ImageSequence, UnidentifiedImageError

from segup.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".npy")
_SAMPLES_PER_PIXEL = 277
_SAMPLE_FORMAT = 339
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What decoders raise over bytes that are not what they should be.
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, LookupError, OverflowError, struct.error, zlib.error)

# How the formats that are stored in one piece begin and end.
_ENDINGS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND"}
_TAIL = 4096
_MOST_UNPACKED = 100
_NAMED = 10

_LIMIT = threading.Lock()

R = TypeVar("R")


def reading(path: Path, read: Callable[[Path], R]) -> R:
    """Call ``read(path)``; whatever a decoder raises over a bad file becomes one DataError that names the file."""
    if path.exists() and not path.is_file():  # a pipe would wait for its writer, a device has no end
        raise DataError(f"{path}: no regular file")
    try:
        return read(path)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except _BROKEN as cause:
        reason = "unknown format" if isinstance(cause, UnidentifiedImageError) else str(cause).strip() or repr(cause)
        raise DataError(f"{path}: not a readable image, or cut short ({reason.splitlines()[0]})") from cause


def unusable(faults: Sequence[str]) -> DataError:
    """Return one error for what is wrong with one file or with several, of which the first are named.

    >>> print(unusable(["a.png: cut short", "b.png: no such file"]))
    2 files cannot be used:
      a.png: cut short
      b.png: no such file
    """
    more = f"\n  and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    lines = "\n  ".join(faults[:_NAMED])
    return DataError(f"{len(faults)} files cannot be used:\n  {lines}{more}" if len(faults) > 1 else lines)


@contextmanager
def opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open a picture with Pillow, without its own limit on pixels, which :func:`check_pixels` stands in for.

    Raises:
        DataError: For an animation, of which one picture alone would be read.
    """
    with _LIMIT:  # the limit is Pillow's one global value, and several threads read
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            file = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with file:
        # a photograph (MPO) may carry a preview behind it, and the pages of a TIFF are its channels
        frames = getattr(file, "n_frames", 1) if file.format in ("GIF", "PNG", "WEBP") else 1
        if frames > 1:
            raise DataError(f"{path}: {frames} frames; an image or a mask has one. Save the frame that you need")
        yield file


def check_whole(path: Path) -> None:
    """Find a JPEG or PNG that was cut short from its last bytes, without decoding it.

    A file whose end mark is not among them (some programs append data of their own) is decoded to find out.

    Raises:
        DataError: When the file is missing or cut short.
    """
    reading(path, _check_ending)


def read_array(path: Path) -> np.ndarray:
    """Return a ``.npy`` file as (H, W, C), mapped into memory: its header is held against the file's size."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.dtype.kind not in "uifb" or not array.size:
        raise DataError(
            f"{path}: {array.dtype} of shape {array.shape}: an image array holds numbers of (H, W) or (H, W, C)"
        )
    return array


def read_bands(path: Path) -> np.ndarray | None:
    """Return a TIFF of several pages or of bands that Pillow does not know as (H, W, C); None for any other file."""
    layout = layout_of(path)
    if layout == "pages":
        with opened(path) as file:
            pages = [np.asarray(page) for page in ImageSequence.Iterator(file)]
        if any(page.ndim != 2 or page.shape != pages[0].shape for page in pages):
            raise DataError(f"{path}: {len(pages)} pages; each must be one grey channel, and all must have one size")
        return np.stack(pages, axis=-1)
    if layout == "bands":
        with tifffile(path).TiffFile(path) as file:
            series = file.series[0]
            bands: np.ndarray = series.asarray()
            if bands.ndim == 2:
                return bands[..., np.newaxis]
            return np.moveaxis(bands, 0, -1) if series.axes.startswith(("S", "C")) and bands.ndim == 3 else bands
    return None


def check_archive(path: Path) -> None:
    """Raise a DataError for a zip file that says of itself that it unpacks to more than a hundred times its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as cause:
        raise DataError(f"{path}: no zip file, or cut short") from cause
    if unpacked > _MOST_UNPACKED * path.stat().st_size:
        raise DataError(
            f"{path}: {path.stat().st_size} bytes that unpack to {unpacked}, more than {_MOST_UNPACKED} times as many; "
            f"if you trust the file, unpack it yourself"
        )


def as_stored(file: ImageFile.ImageFile) -> np.ndarray:
    """Return the pixels of an opened picture, in the type that :func:`stored_type` says."""
    pixels = np.asarray(file)
    kind = stored_type(file)
    return pixels.view(kind) if kind.itemsize == pixels.dtype.itemsize and pixels.dtype.kind in "ui" else pixels


def stored_type(file: ImageFile.ImageFile) -> np.dtype:
    """Return the type of an opened picture's pixels; Pillow takes a TIFF's int8 for uint8, and uint32 for int32."""
    tags: Any = getattr(file, "tag_v2", {})
    kinds = tags.get(_SAMPLE_FORMAT, 1 if file.format == "TIFF" else None)
    kind = kinds[0] if isinstance(kinds, tuple) else kinds
    if file.mode == "L" and kind == 2:
        return np.dtype(np.int8)
    if file.mode == "I":
        return np.dtype(np.uint32 if kind == 1 else np.int32)
    if file.mode.startswith("I;16"):
        return np.dtype(">u2" if file.mode.endswith("B") else "<u2")
    return np.dtype(np.float32 if file.mode == "F" else np.uint8)


def layout_of(path: Path) -> str:
    """Return "picture" (Pillow reads it whole), "pages" (a channel per page) or "bands" (Pillow cannot)."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return "picture"
    try:
        with opened(path) as file:
            tags: Any = getattr(file, "tag_v2", {})
            if tags.get(_SAMPLES_PER_PIXEL, 1) not in (1, len(file.getbands())):
                return "bands"
            return "pages" if getattr(file, "n_frames", 1) > 1 else "picture"
    except (UnidentifiedImageError, ValueError) as cause:
        if isinstance(cause, DataError):
            raise
        with path.open("rb") as head:
            if head.read(4) not in _TIFF_MAGIC:
                raise
        return "bands"


def tifffile(path: Path) -> Any:
    """Return the package tifffile, or raise a DataError that says what it is needed for."""
    try:
        return importlib.import_module("tifffile")
    except ImportError:
        raise DataError(
            f"{path}: Pillow cannot read the bands of this TIFF: pip install tifffile, "
            "or save the image as .npy of (H, W, C)"
        ) from None


def _check_ending(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(max(map(len, _ENDINGS)))
        mark = next((mark for magic, mark in _ENDINGS.items() if head.startswith(magic)), None)
        if mark is None:
            return
        file.seek(-min(_TAIL, path.stat().st_size), os.SEEK_END)
        if mark in file.read():
            return
    with opened(path) as picture:
        picture.load()
