"""Read an image file as an array with the channels that the model takes."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from segup.calls import annotated
from segup.conform import short
from segup.data.files import as_stored, opened, read_array, read_bands, reading
from segup.data.headers import MAX_PIXELS, check_pixels, is_wide_color, orientation_of, read_header
from segup.data.ranges import Range, check_range, to_unit
from segup.errors import ConfigError, DataError

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


@annotated
def read_image(
    path: Path | str, in_channels: int = 3, image_range: Range = "dtype", max_pixels: int = MAX_PIXELS
) -> torch.Tensor:
    """Read an image as float32 in 0…1, (in_channels, H, W).

    The file is a PNG, JPEG, TIFF, BMP, WebP, GIF or a ``.npy`` of (H, W) or (H, W, C). Palettes become colours, and the
    image is turned as its EXIF orientation says. Grey is repeated for three channels, and colour becomes luminance for
    one. An alpha channel is dropped, unless the file has exactly ``in_channels`` with it. The channels of a TIFF are
    bands or pages.

    Args:
        path: The file.
        in_channels: Channels that the model takes.
        image_range: The values that become 0 and 1, such as ``(0, 4095)``. The range belongs to the data set, and the
            checkpoint of a model stores it. "dtype" uses the type of the file: 8-bit values are divided by 255, 16-bit
            values by 65535, and floating-point values must be in 0…1.
        max_pixels: A picture of more pixels is refused before it is read.

    Raises:
        ConfigError: ``image_range`` is no range, or a count is below 1.
        DataError: The file is missing, cut short, too large, an animation or not an image; its channels cannot become
            ``in_channels``; or its values do not fit the range.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (5, 4), 255).save(f"{folder}/white.png")
        ...     image = read_image(f"{folder}/white.png", in_channels=3)
        >>> tuple(image.shape), image.mean().item()
        ((3, 4, 5), 1.0)
    """
    for name, value in (("in_channels", in_channels), ("max_pixels", max_pixels)):
        if value < 1:
            raise ConfigError(f"read_image: {name}={short(value)} must be 1 or more")
    path, image_range = Path(path), check_range(image_range) or "dtype"
    check_pixels(path, read_header(path), max_pixels, "max_pixels=")
    return to_tensor(decode_image(path, in_channels, image_range))


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """Turn (H, W, C) of :func:`decode_image` into float32 (C, H, W) in 0…1; the memory stays channels-last."""
    divisor = np.float32(255 if image.dtype == np.uint8 else 1)
    return torch.from_numpy(np.divide(image, divisor, dtype=np.float32)).permute(2, 0, 1)


def decode_image(path: Path, in_channels: int, image_range: Range = "dtype") -> np.ndarray:
    """Return the image as (H, W, in_channels), uint8 or float32 in 0…1; see :func:`read_image`."""
    return to_unit(read_pixels(path, in_channels), image_range, path)


def read_pixels(path: Path, in_channels: int) -> np.ndarray:
    """Return the image as (H, W, in_channels) in the values that it holds."""
    pixels, has_alpha = reading(path, _read_array if path.suffix.lower() == ".npy" else _read_picture)
    return to_channels(pixels, has_alpha, in_channels, path)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels (H, W) or (H, W, C) as a camera's note of their orientation asks for."""
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    pixels = pixels.swapaxes(0, 1) if transpose else pixels
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def read_wide(path: Path) -> np.ndarray:
    """Return a file of 16-bit colours as (H, W, C): RGB, RGBA, or grey and alpha as the library brings them."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise DataError(f"{path}: not a readable image of 16-bit colours")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return pixels


def _read_array(path: Path) -> tuple[np.ndarray, bool]:
    array = read_array(path)
    return (array.astype(np.uint8) * 255 if array.dtype.kind == "b" else array), False


def _read_picture(path: Path) -> tuple[np.ndarray, bool]:
    """Return the pixels as (H, W, C) in the file's own precision, and whether the last channel is alpha."""
    bands = read_bands(path)
    if bands is not None:
        return turned(bands, read_header(path).orientation), False
    with opened(path) as file:
        wide = is_wide_color(file)
        orientation = orientation_of(file, path)
        pixels, has_alpha = pixels_of(file, (lambda: read_wide(path)) if wide else lambda: as_stored(file))
    return turned(pixels, orientation), has_alpha


def pixels_of(picture: Image.Image, stored: Callable[[], np.ndarray] | None = None) -> tuple[np.ndarray, bool]:
    """Return a picture of PIL as (H, W, C) in its own precision, and whether the last channel is alpha.

    Args:
        picture: Of any mode; palettes, bits and inks become colours or grey.
        stored: Reads the pixels of a mode that needs no conversion from the picture's file.
    """
    if picture.mode not in ("L", "LA", "I;16", "I;16L", "I;16B", "I", "F", "RGB", "RGBA", "RGBX"):
        picture, stored = picture.convert(_resolved(picture)), None
    pixels = np.asarray(picture) if stored is None else stored()
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels, picture.mode in ("LA", "RGBA", "RGBX")


def _resolved(file: Image.Image) -> str:
    """Return the mode of grey or colours that a picture of bits, a palette or inks is resolved to."""
    if file.mode == "1":
        return "L"
    return "RGBA" if "transparency" in file.info else "RGB"


def to_channels(pixels: np.ndarray, has_alpha: bool, in_channels: int, path: Path) -> np.ndarray:
    """Return pixels (H, W, C) with ``in_channels``: grey is repeated, colour becomes luminance, alpha is left out."""
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
        f"{path}: {found} channels cannot become in_channels={in_channels}. "
        f"The numbers must be equal, or 1 and 3: 1 becomes 3, and 3 becomes 1.\n"
        f"  try: images of {in_channels} channels, or a model that is trained with data.in_channels={given}."
    )
