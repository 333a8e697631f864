"""An image that is given: a file, an array, a tensor or a picture of PIL, as the model takes it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from segup.conform import short
from segup.data.images import pixels_of, read_image, to_channels, to_tensor
from segup.data.ranges import Range, to_unit
from segup.errors import ConfigError

_HIGHEST_SHARE = 1
_LEAST_TOP = 255
"""Of a range that images of integers have: floats beside them are shares of it."""
_OF_FILES = (np.uint8, np.uint16)


def as_image(given: Any, in_channels: int, image_range: Range, own_range: Range | None = None) -> torch.Tensor:
    """Return an image as float32 in 0…1, (in_channels, H, W).

    Integers are scaled as the values of image files are. Floats are 0…1, unless the training's own images were floats
    or ``own_range`` says what they are.

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
    shares = own_range is None and (image_range == "dtype" or image_range[1] >= _LEAST_TOP)
    if pixels.dtype.kind == "f" and shares:
        _check_shares(pixels, image_range)
        image_range = (0, _HIGHEST_SHARE)
    elif pixels.dtype.kind != "f" and (own_range or image_range) == "dtype" and pixels.dtype not in _OF_FILES:
        raise ConfigError(
            f"the image has {pixels.dtype} values, and a type of so many bits does not say what is white.\n"
            f"  try: image.astype('uint8') for values 0…255, or image_range=(0, 255)"
        )
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


def _check_shares(pixels: np.ndarray, image_range: Range) -> None:
    least, most = float(pixels.min()), float(pixels.max())
    if least >= 0 and most <= _HIGHEST_SHARE:
        return
    found = f"the image has float values from {least:g} to {most:g}; floats are 0…1"
    if not np.isfinite((least, most)).all():
        raise ConfigError(f"{found}.\n  try: numpy.nan_to_num(image)")
    if least >= -0.5 and most <= 1.5:
        raise ConfigError(f"{found}.\n  try: image.clip(0, 1)")
    low, high = (0, 255) if image_range == "dtype" else image_range
    eight = "image.astype('uint8') for values 0…255, or " if (low, high) == (0, 255) else ""
    if low <= least and most <= high:
        raise ConfigError(f"{found}.\n  try: {eight}image_range=({low:g}, {high:g})")
    raise ConfigError(
        f"{found}, and the training's images had {low:g}…{high:g}.\n"
        f"  try: the image before it was normalised; the model does that itself"
    )
