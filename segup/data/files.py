"""What lies in an image file: its size without decoding it, its raw bands, and one error for whatever is wrong."""

import importlib
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from segup.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".npy")
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL, _PLANAR_CONFIGURATION, _SAMPLE_FORMAT = 254, 258, 277, 284, 339
_BESIDE = 0b101
"""Pages with one of these bits of the subfile type are a smaller copy of the image, or a mask of where it is valid."""
_ALPHA = (1, 2)
"""Kinds of extra samples that are alpha, multiplied with the colours or not."""
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What decoders raise over bytes that are not what they should be.
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, LookupError, OverflowError, struct.error, zlib.error)

# How the formats that are stored in one piece begin and end.
_ENDINGS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND"}
_RGB = 2
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


def read_bands(path: Path) -> tuple[np.ndarray, bool] | None:
    """Return a TIFF of several pages or of bands that Pillow does not know as (H, W, C), and whether the last is alpha.

    None is any other file.
    """
    layout = layout_of(path)
    if layout == "pages":
        with opened(path) as file:
            return _together([_page(file, number) for number in image_pages(file)], path), False
    if layout == "bands":
        with tifffile(path).TiffFile(path) as tiff:
            first = tiff.pages[0]
            if first.imagedepth > 1 or tiff.series[0].is_truncated:
                way_out = "a page for each channel, or a file for each image"
                raise DataError(f"{path}: a page holds a volume, and no image is one.\n  try: {way_out}")
            samples, extra = first.samplesperpixel, first.extrasamples
            has_alpha = extra[-1] in _ALPHA if extra else first.photometric == _RGB and samples == 4
            return _together([_channels_last(page) for page in own_pages(tiff)], path), has_alpha
    return None


def image_pages(file: ImageFile.ImageFile) -> list[int]:
    """Return which pages of an opened picture are the image: without smaller copies of it, and masks."""
    found = []
    for number in count():
        try:
            file.seek(number)
        except EOFError:
            break
        except SyntaxError:  # its pixels are nothing that Pillow knows, but its tags are read
            pass
        tags: Any = getattr(file, "tag_v2", {})
        if not number or not tags.get(_SUBFILE_TYPE, 0) & _BESIDE:
            found.append(number)
    file.seek(0)
    return found


def own_pages(tiff: Any) -> list[Any]:
    """Return the same of a file that tifffile opened."""
    return [page for number, page in enumerate(tiff.pages) if not number or not page.subfiletype & _BESIDE]


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
            samples = tags.get(_SAMPLES_PER_PIXEL, 1)
            if samples not in (1, len(file.getbands())):
                return "bands"
            # Pillow takes 16-bit colours that are stored one after the other for 8-bit ones
            if samples > 1 and tags.get(_PLANAR_CONFIGURATION, 1) == 2 and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:
                return "bands"
            return "pages" if len(image_pages(file)) > 1 else "picture"
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


def _page(file: ImageFile.ImageFile, number: int) -> np.ndarray:
    file.seek(number)
    return np.array(file)


def _channels_last(page: Any) -> np.ndarray:
    pixels: np.ndarray = page.asarray()
    return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


def _together(pages: Sequence[np.ndarray], path: Path) -> np.ndarray:
    """Return the pages of an image as (H, W, C)."""
    if len(pages) == 1 and pages[0].ndim == 3:
        return pages[0]
    if any(page.ndim != 2 or page.shape != pages[0].shape for page in pages):
        raise DataError(f"{path}: {len(pages)} pages; each must be one grey channel, and all must have one size")
    return np.stack(pages, axis=-1)
