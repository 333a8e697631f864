"""An image file becomes an array of as many channels as the model takes."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageFile

from segup.data.files import ORIENTATION, read_array, read_bands, reading
from segup.errors import DataError

# Luminance of ITU-R BT.601, as in PIL.
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# What each note of a camera asks for: (transpose, flip rows, flip columns), in this order.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_image(path: Path | str, in_channels: int = 3) -> torch.Tensor:
    """Read an image as float32 in 0…1, (in_channels, H, W).

    PNG, JPEG, TIFF, BMP, WebP and ``.npy`` of (H, W) or (H, W, C). 8-bit values are divided by 255, 16-bit ones by
    65535; floating-point values must already be in 0…1. Palettes are resolved to colours, and the orientation that a
    camera notes (EXIF) is followed. Grey is repeated for three channels, colour becomes luminance for one. An alpha
    channel is dropped, unless the file has exactly ``in_channels`` with it. A TIFF holds its channels as bands or as
    pages.

    Args:
        path: The file.
        in_channels: Channels that the model takes.

    Raises:
        DataError: When the file is missing, cut short or not an image; when its channels cannot become ``in_channels``.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (5, 4), 255).save(f"{folder}/white.png")
        ...     image = read_image(f"{folder}/white.png", in_channels=3)
        >>> tuple(image.shape), image.mean().item()
        ((3, 4, 5), 1.0)
    """
    return to_tensor(decode_image(Path(path), in_channels))


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """Turn (H, W, C) of :func:`decode_image` into float32 (C, H, W) in 0…1; the memory stays channels-last."""
    divisor = np.float32(255 if image.dtype == np.uint8 else 1)
    return torch.from_numpy(np.divide(image, divisor, dtype=np.float32)).permute(2, 0, 1)


def decode_image(path: Path, in_channels: int) -> np.ndarray:
    """Return the image as (H, W, in_channels), uint8 or float32 in 0…1; see :func:`read_image`."""
    pixels, has_alpha = reading(path, _read_array if path.suffix.lower() == ".npy" else _read_picture)
    return _to_unit(_to_channels(pixels, has_alpha, in_channels, path), path)


def _read_array(path: Path) -> tuple[np.ndarray, bool]:
    return read_array(path), False


def _read_picture(path: Path) -> tuple[np.ndarray, bool]:
    """Return the pixels as (H, W, C) in the file's own precision, and whether the last channel is alpha."""
    bands = read_bands(path)
    if bands is not None:
        return bands, False
    with Image.open(path) as file:
        wide = _is_wide_color(file)  # before getexif(), which decodes a PNG and forgets how
        orientation = file.getexif().get(ORIENTATION, 1)
        picture: Image.Image = file
        if file.mode not in ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I", "F", "RGB", "RGBA", "RGBX"):
            picture = file.convert("RGBA" if "transparency" in file.info else "RGB")
        has_alpha = picture.mode in ("LA", "RGBA", "RGBX")
        pixels = _read_wide(path) if wide else np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    return _turned(pixels, orientation), has_alpha


def _is_wide_color(file: ImageFile.ImageFile) -> bool:
    """Whether Pillow would cut a file of 16-bit colours to 8 bits."""
    rawmode = str(file.tile[0][3]) if file.tile else ""
    return file.mode in ("RGB", "RGBA", "LA") and "16" in rawmode


def _read_wide(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise DataError(f"{path}: not a readable image of 16-bit colours")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return pixels


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    pixels = pixels.swapaxes(0, 1) if transpose else pixels
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def _to_channels(pixels: np.ndarray, has_alpha: bool, in_channels: int, path: Path) -> np.ndarray:
    found = pixels.shape[2]
    if found != in_channels and has_alpha:
        pixels = pixels[..., :-1]
    given = pixels.shape[2]
    if given == in_channels:
        return pixels
    if given == 1 and in_channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if given == 3 and in_channels == 1:
        grey = pixels.astype(np.float32) @ _LUMINANCE
        return (np.rint(grey) if pixels.dtype.kind == "u" else grey).astype(pixels.dtype)[..., np.newaxis]
    raise DataError(
        f"{path}: {found} channels cannot become in_channels={in_channels}: equal numbers are taken as they are, "
        f"1 becomes 3, 3 becomes 1.\n"
        f"  try: images of {in_channels} channels, or a model that is trained with data.in_channels={given}."
    )


def _to_unit(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if pixels.dtype.kind == "f":
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"{path}: floating-point values from {low:g} to {high:g}, where 0…1 is allowed; rescale them"
            )
        return np.ascontiguousarray(pixels, dtype=np.float32)
    if low < 0 or high > 65535:
        raise DataError(f"{path}: integers from {low:g} to {high:g}, where 8 or 16 bits (0…65535) are allowed")
    return np.ascontiguousarray(pixels.astype(np.float32) / np.float32(65535))
