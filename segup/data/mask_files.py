"""What a mask file holds, before anything in it is a class: numbers, colours, or numbers with a palette."""

from pathlib import Path

import numpy as np
from PIL import ImageFile

from segup.data.drawn import DrawnMask, MaskPixels
from segup.data.files import as_stored, image_pages, layout_of, opened, read_array, read_bands, reading
from segup.data.headers import wide_mode
from segup.data.images import read_wide
from segup.errors import DataError

# What Pillow makes of grey pixels of few bits, and of a TIFF's whose 0 is white, is undone: the numbers are the ids.
_STRETCHED = {"L;2": 85, "L;4": 17}
_LARGEST = {"1": np.uint8(1), "L": np.uint8(255)}


def mask_pixels(mask: Path | DrawnMask) -> MaskPixels:
    """Return the pixels of a mask: of its file, or as they are drawn from others.

    Raises:
        DataError: A file is missing, unreadable or no mask.
    """
    return reading(mask, read_mask_pixels) if isinstance(mask, Path) else mask.pixels()


def read_mask_pixels(path: Path) -> MaskPixels:
    """Read a mask file.

    Raises:
        DataError: For pixels that can be neither class ids nor colours.
    """
    if path.suffix.lower() == ".npy":
        array = read_array(path)
        if array.shape[2] != 1:
            axis = array.shape.index(min(array.shape))
            raise DataError(
                f"{path}: {array.dtype} of shape {array.shape}: a mask array holds integers of (H, W); "
                f"one layer for each class becomes that by array.argmax({axis})"
            )
        return MaskPixels(_whole(array[..., 0], path))
    if layout_of(path) == "bands":
        return MaskPixels(_bands(path))
    with opened(path) as file:
        pages = len(image_pages(file)) if file.format != "MPO" else 1
        if pages > 1:
            raise DataError(f"{path}: {pages} pages; a mask has one. Save the class ids as a single image")
        lossy = file.format in ("JPEG", "MPO", "WEBP")
        if wide := wide_mode(file):
            return MaskPixels(_narrowed(read_wide(path, wide), path))
        if file.mode in ("P", "PA"):
            file.load()  # a GIF's palette comes with its pixels
            colors = np.full((256, 3), -1, dtype=np.int16)
            entries = np.array(file.getpalette("RGB"), dtype=np.int16).reshape(-1, 3)
            colors[: len(entries)] = entries
            return MaskPixels(np.asarray(file.getchannel(0)), colors, file.format != "GIF")
        if file.mode in ("1", "L", "I;16", "I;16L", "I;16B", "I", "F"):
            rawmode = _rawmode(file)  # forgotten by Pillow once the pixels are read
            numbers = _whole(as_stored(file), path)
            if rawmode.endswith("I") and rawmode[:2] in ("1;", "L;"):
                numbers = _LARGEST[file.mode] - numbers
            stretched = _STRETCHED.get(rawmode[:3])
            return MaskPixels(numbers if stretched is None else numbers // stretched, lossy=lossy)
        if file.mode == "LA":
            return MaskPixels(np.asarray(file.getchannel(0)))
        if file.mode in ("RGB", "RGBA", "RGBX"):
            return MaskPixels(np.asarray(file.convert("RGB")), lossy=lossy)
        raise DataError(f"{path}: a mask is a palette, grey or RGB image; this one has Pillow's mode '{file.mode}'")


def _rawmode(file: ImageFile.ImageFile) -> str:
    """Return how Pillow says the pixels are stored: "L;4" for grey of four bits, "1;I" for bits whose 0 is white."""
    arguments = file.tile[0][3] if file.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _whole(numbers: np.ndarray, path: Path) -> np.ndarray:
    """Return numbers as integers, which they must be in value."""
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    if numbers.dtype.kind != "f":
        return numbers
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64)
    wrong = numbers[whole != numbers]
    if wrong.size:
        raise DataError(
            f"{path}: the mask holds {wrong[0]:g}: {wrong.size} of {numbers.size} values are no whole numbers, and "
            f"class ids must be"
        )
    return whole


def _bands(path: Path) -> np.ndarray:
    found = read_bands(path)
    assert found is not None
    bands, _ = found
    if bands.shape[2] == 1:
        return _whole(bands[..., 0], path)
    if bands.shape[2] in (3, 4) and bands.dtype in (np.uint8, np.uint16):
        return bands[..., :3] if bands.dtype == np.uint8 else _narrowed(bands, path)
    raise DataError(f"{path}: {bands.dtype} of shape {bands.shape}: a mask has one channel of class ids, or RGB")


def _narrowed(colors: np.ndarray, path: Path) -> np.ndarray:
    """Return 16-bit colours as 8-bit ones, or as one channel where grey is what they are."""
    if colors.shape[2] == 2:
        return colors[..., 0]
    if not (colors[..., :3] % 257).any():
        return (colors[..., :3] // 257).astype(np.uint8)
    if (colors[..., :1] == colors[..., :3]).all():
        return colors[..., 0]
    raise DataError(f"{path}: 16-bit colours that 8 bits cannot hold; the colour of a class is three integers in 0…255")
