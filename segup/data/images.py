"""An image as the model takes it: read from a file, or given as an array, a tensor or a picture of PIL."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from segup.calls import annotated
from segup.conform import short
from segup.data.files import as_stored, opened, read_array, read_bands, reading
from segup.data.headers import MAX_PIXELS, Header, check_pixels, orientation_of, read_header, wide_mode
from segup.data.ranges import Range, check_range, to_unit, widened
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
            values by 65535, and floating-point values must be in 0…1; integers with a sign or of more bits are refused.
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
    path, image_range = Path(path), check_range(image_range, "image_range") or "dtype"
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


def check_channels(paths: Sequence[Path], headers: Sequence[Header], in_channels: int) -> None:
    """Raise a DataError unless images of each number of channels among ``headers`` can become ``in_channels``.

    One image of each number is read, where it is not known that they can.
    """
    first: dict[tuple[int, str], Path] = {}
    for path, header in zip(paths, headers, strict=True):
        if not {header.channels, in_channels} <= {1, 3}:
            first.setdefault((header.channels, path.suffix), path)
    for path in first.values():
        read_pixels(path, in_channels)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels (H, W) or (H, W, C) as a camera's note of their orientation asks for."""
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    pixels = pixels.swapaxes(0, 1) if transpose else pixels
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def read_wide(path: Path, mode: str) -> np.ndarray:
    """Return a file of 16-bit colours as (H, W, C), the channels of the mode "RGB", "RGBA" or "LA"."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise DataError(f"{path}: not a readable image of 16-bit colours")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return pixels[:, :, [0, 3]] if mode == "LA" else pixels  # OpenCV repeats the grey


def _read_array(path: Path) -> tuple[np.ndarray, bool]:
    array = read_array(path)
    return (array.astype(np.uint8) * 255 if array.dtype.kind == "b" else array), False


def _read_picture(path: Path) -> tuple[np.ndarray, bool]:
    """Return the pixels as (H, W, C) in the file's own precision, and whether the last channel is alpha."""
    bands = read_bands(path)
    if bands is not None:
        pixels, has_alpha = bands
        return turned(pixels, read_header(path).orientation), has_alpha
    with opened(path) as file:
        wide = wide_mode(file)
        orientation = orientation_of(file, path)
        pixels, has_alpha = pixels_of(file, (lambda: read_wide(path, wide)) if wide else lambda: as_stored(file))
    return turned(pixels, orientation), has_alpha


def pixels_of(picture: Image.Image, stored: Callable[[], np.ndarray] | None = None) -> tuple[np.ndarray, bool]:
    """Return a picture of PIL as (H, W, C) in its own precision, and whether the last channel is alpha.

    Args:
        picture: Of any mode; palettes, bits and inks become colours or grey.
        stored: Reads the pixels of a mode that needs no conversion from the picture's file.
    """
    if picture.mode not in ("L", "LA", "I;16", "I;16L", "I;16B", "I", "F", "RGB", "RGBA", "RGBX"):
        resolved = "L" if picture.mode == "1" else "RGBA" if "transparency" in picture.info else "RGB"
        picture, stored = picture.convert(resolved), None
    pixels = np.asarray(picture) if stored is None else stored()
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels, picture.mode in ("LA", "RGBA", "RGBX")


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
        return (np.rint(grey) if pixels.dtype.kind in "ui" else grey).astype(pixels.dtype)[..., np.newaxis]
    raise DataError(
        f"{path}: {found} channels cannot become in_channels={in_channels}. "
        f"The numbers must be equal, or 1 and 3: 1 becomes 3, and 3 becomes 1.\n"
        f"  try: images of {in_channels} channels, or a model that is trained with data.in_channels={given}."
    )


_HIGHEST_SHARE = 1
_OF_FILES = (np.uint8, np.uint16)
_HIGHEST = (255, 65535)
"""Of each of these types."""


def as_image(given: Any, in_channels: int, image_range: Range, own_range: Range | None = None) -> torch.Tensor:
    """Return an image as float32 in 0…1, (in_channels, H, W).

    Integers are scaled as the values of image files are. Floats are 0…1 where ``image_range`` is one of 8-bit or 16-bit
    images: "dtype", or whole numbers from 0 or more to at least 255. No such image has another range: floats are then
    values of it, as those of files are. ``own_range`` says what the values of this image are.

    Args:
        given: A path; an array (H, W) or (H, W, C); a tensor (H, W) or (C, H, W); or a picture of PIL, not turned.
        in_channels: Channels that the model takes.
        image_range: The values that were 0 and 1 in the training's images.
        own_range: The values that are 0 and 1 in this one, where they are others.

    Raises:
        ConfigError: It is no image, or its shape, type or values are none of these.
        DataError: As :func:`segup.data.images.read_image`.

    >>> as_image(np.full((2, 3), 51, np.uint8), 1, (0, 255))
    tensor([[[0.2000, 0.2000, 0.2000],
             [0.2000, 0.2000, 0.2000]]])
    >>> as_image(np.full((2, 3, 3), 51.0), 3, (0, 255))
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: the image has float values from 51 to 51; floats are 0…1.
      try: image.astype('uint8') for values 0…255, or image_range=(0, 255)
    """
    if isinstance(given, str | Path):
        return read_image(given, in_channels, own_range or image_range)
    pixels, has_alpha = _pixels(given)
    if not isinstance(given, Image.Image):
        _check_shape(given, in_channels)
    if pixels.dtype.kind == "f" and own_range is None and _is_of_integers(image_range):
        _check_shares(given, pixels, image_range)
        image_range = (0, _HIGHEST_SHARE)
    elif pixels.dtype.kind != "f" and (own_range or image_range) == "dtype":
        _check_bits(given, pixels)
    name = Path("the image")
    return to_tensor(to_unit(to_channels(pixels, has_alpha, in_channels, name), own_range or image_range, name))


def _pixels(given: Any) -> tuple[np.ndarray, bool]:
    """Return (H, W, C), and whether the last channel is alpha."""
    if isinstance(given, Image.Image):
        return pixels_of(given)
    if isinstance(given, torch.Tensor) and given.layout == torch.strided and not given.is_complex():
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
        given = np.moveaxis(given, 0, -1) if given.ndim == 3 else given
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "buif":
        kind = f" of {given.dtype}" if isinstance(given, np.ndarray | torch.Tensor) else ""
        raise ConfigError(
            f"{short(given)}{kind} is no image: give a path, an array (H, W, C), a tensor (C, H, W) or a PIL image"
        )
    pixels = given.astype(np.uint8) * np.uint8(255) if given.dtype.kind == "b" else given
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ConfigError(f"an image of shape {tuple(given.shape)} must be (H, W) or (H, W, C), none of them 0")
    return pixels, False


def _check_shape(given: np.ndarray | torch.Tensor, in_channels: int) -> None:
    tensor = isinstance(given, torch.Tensor)
    last, first = (given.shape[0], given.shape[-1]) if tensor else (given.shape[-1], given.shape[0])
    takes = {in_channels, *({1, 3} if in_channels in (1, 3) else ())}
    if given.ndim == 2 or last in takes:
        return
    shape = f"an image of shape {tuple(given.shape)} has {last} channels, and the model takes {in_channels}"
    if first in takes:
        order, turned = ("(C, H, W)", "permute(2, 0, 1)") if tensor else ("(H, W, C)", "transpose(1, 2, 0)")
        raise ConfigError(f"{shape}: {'tensors' if tensor else 'arrays'} are {order}.\n  try: image.{turned}")
    if last == 4 and in_channels == 3:
        raise ConfigError(f"{shape}.\n  try: {'image[:3]' if tensor else 'image[..., :3]'}, which leaves out alpha")


def _is_of_integers(image_range: Range) -> bool:
    """Return whether images of 8 or 16 bits can have a range."""
    if image_range == "dtype":
        return True
    low, high = image_range
    return low >= 0 and _HIGHEST[0] <= high <= _HIGHEST[1] and float(low).is_integer() and float(high).is_integer()


def _named(given: Any) -> str:
    """Return what an image is called where its values are changed: a picture of PIL is an array first."""
    return "numpy.asarray(image)" if isinstance(given, Image.Image) else "image"


def _of_kind(given: Any, kind: str) -> str:
    return f"image.to(torch.{kind})" if isinstance(given, torch.Tensor) else f"{_named(given)}.astype('{kind}')"


def _check_bits(given: Any, pixels: np.ndarray) -> None:
    if pixels.dtype.newbyteorder("=") in _OF_FILES:
        return
    least, most = int(pixels.min()), int(pixels.max())
    fits = [(kind, top) for kind, top in zip(_OF_FILES, _HIGHEST, strict=True) if least >= 0 and most <= top]
    typed = f"{_of_kind(given, fits[0][0].__name__)} for values 0…{fits[0][1]}, or " if fits else ""
    low, high = widened(least, most)
    raise ConfigError(
        f"the image has {pixels.dtype} values, and a type of so many bits does not say what is white; they are from "
        f"{least} to {most}.\n"
        f"  try: {typed}image_range=({low}, {high})"
    )


def _check_shares(given: Any, pixels: np.ndarray, image_range: Range) -> None:
    least, most = float(pixels.min()), float(pixels.max())
    if least >= 0 and most <= _HIGHEST_SHARE:
        return
    found = f"the image has float values from {least:g} to {most:g}; floats are 0…1"
    if not np.isfinite((least, most)).all():
        finite = "torch.nan_to_num(image)" if isinstance(given, torch.Tensor) else "numpy.nan_to_num(image)"
        raise ConfigError(f"{found}.\n  try: {finite}")
    if least >= -0.5 and most <= 1.5:
        raise ConfigError(f"{found}.\n  try: {_named(given)}.clip(0, 1)")
    low, high = (0, next((top for top in _HIGHEST if most <= top), 255)) if image_range == "dtype" else image_range
    eight = f"{_of_kind(given, 'uint8')} for values 0…255, or " if (low, high) == (0, 255) else ""
    if low <= least and most <= high:
        raise ConfigError(f"{found}.\n  try: {eight}image_range=({low:g}, {high:g})")
    raise ConfigError(
        f"{found}, and the training's images had {low:g}…{high:g}.\n"
        f"  try: the image before it was normalised; the model does that itself"
    )
