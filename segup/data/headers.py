"""What a file says about its pixels before any is decoded: size, type, declared bits, a camera's orientation."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from segup.data.files import image_pages, layout_of, opened, own_pages, read_array, reading, stored_type, tifffile
from segup.errors import DataError

MAX_PIXELS = 100_000_000
"""Pixels of the largest picture that is read unasked: a small file may claim any size."""

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_NOTED = (b"sBIT", b"eXIf")
_LONGEST_NOTE = 1 << 20


@dataclass(frozen=True)
class Header:
    """What a file's header says.

    Attributes:
        height, width: As the pixels are stored.
        channels: Bands, or pages.
        dtype: Of the pixels.
        bits: Those that are declared to be used, where they are fewer than the type has: a TIFF's BitsPerSample, a
            PNG's sBIT. None where nothing is declared.
        orientation: What a camera noted (EXIF), 1 for nothing.
        lossy: Whether compression changed the values (JPEG).
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype
    bits: int | None = None
    orientation: int = 1
    lossy: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) with the camera's orientation followed."""
        return turned_size((self.height, self.width), self.orientation)

    @property
    def pixels(self) -> int:
        """The pixels that it takes memory for; more than four channels count as further pixels."""
        return self.height * self.width * -(-self.channels // 4)


def read_header(path: Path) -> Header:
    """Read a file's header.

    Raises:
        DataError: When the file is missing or not an image.
    """
    return reading(path, _header)


def check_pixels(path: Path, header: Header, most: int, option: str = "data.max_pixels=") -> None:
    """Raise a DataError for a picture of more pixels than ``most``, which ``option`` sets."""
    if header.pixels > most:
        shape = "×".join(map(str, (*header.size, header.channels)[: 3 if header.channels > 4 else 2]))
        raise DataError(
            f"{path}: {shape} is {header.pixels} pixels, more than {option}{most}; "
            f"if you trust the file: {option}{header.pixels}"
        )


def orientation_of(file: ImageFile.ImageFile, path: Path) -> int:
    """Return the orientation that a camera noted in an opened picture, 1 for none, without decoding it."""
    if file.format != "PNG":
        return _known(file.getexif().get(_ORIENTATION, 1))
    # Pillow decodes a whole PNG to look for a note behind the pixels.
    note = _png_notes(path).get(b"eXIf")
    if note is None:
        return 1
    exif = Image.Exif()
    exif.load(note)
    return _known(exif.get(_ORIENTATION, 1))


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (height, width) after the turn that an orientation asks for."""
    return size[::-1] if orientation >= 5 else size


def wide_mode(file: ImageFile.ImageFile) -> str | None:
    """Return "RGB", "RGBA" or "LA" where Pillow would cut a file's 16 bits to 8; None for any other file."""
    rawmode = str(file.tile[0][3]) if file.tile else ""
    if file.mode not in ("RGB", "RGBA", "LA") or "16" not in rawmode:
        return None
    return "LA" if rawmode.startswith("LA") else file.mode  # which Pillow opens as RGBA


def _header(path: Path) -> Header:
    if path.suffix.lower() == ".npy":
        array = read_array(path)
        dtype = np.dtype(np.uint8) if array.dtype.kind == "b" else array.dtype
        height, width, channels = array.shape
        return Header(height, width, channels, dtype)
    layout = layout_of(path)
    if layout == "bands":
        with tifffile(path).TiffFile(path) as tiff:
            page = tiff.pages[0]
            channels = max(page.samplesperpixel, len(own_pages(tiff)))
            return Header(page.imagelength, page.imagewidth, channels, np.dtype(page.dtype), *_tiff_notes(page.tags))
    with opened(path) as file:
        dtype, bits = _depth(file, path)
        channels = len(image_pages(file) if layout == "pages" else wide_mode(file) or file.getbands())
        lossy = file.format in ("JPEG", "MPO")
        return Header(file.height, file.width, channels, dtype, bits, orientation_of(file, path), lossy)


def _depth(file: ImageFile.ImageFile, path: Path) -> tuple[np.dtype, int | None]:
    if wide_mode(file) or file.mode.startswith("I;16"):
        tags: Any = getattr(file, "tag_v2", {})
        declared = tags.get(_BITS_PER_SAMPLE, (16,)) or (16,)
        if file.format == "PNG":
            declared = tuple(_png_notes(path).get(b"sBIT", b"")) or (16,)
        bits = max(declared)
        return np.dtype(np.uint16), bits if 0 < bits < 16 else None
    return stored_type(file), None


def _tiff_notes(tags: Any) -> tuple[int | None, int]:
    bits, orientation = (tags.valueof(number, default) for number, default in ((258, 16), (274, 1)))
    bits = max(bits) if isinstance(bits, tuple) else bits
    return (bits if 8 < bits < 16 else None), _known(orientation)


def _png_notes(path: Path) -> dict[bytes, bytes]:
    """Return a PNG's chunks of significant bits and of EXIF, wherever they stand, without reading the pixels."""
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in _NOTED and length <= _LONGEST_NOTE:
                found[kind] = file.read(length)
                length = 0
            file.seek(length + 4, os.SEEK_CUR)
    return found


def _known(orientation: Any) -> int:
    return int(orientation) if orientation in range(1, 9) else 1
