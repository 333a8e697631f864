"""Random crops and augmentations of a training sample; the only file that imports albumentations.

Shapes: all arrays are as NumPy and OpenCV have them, images (H, W, C) and masks (H, W), and sizes are (height, width).
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from segup.calls import annotated
from segup.conform import Positive, Share

# The package asks a server for its newest version when it is imported, unless this is set before.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np

from segup.errors import ConfigError, unknown

Size = tuple[int, int]
# OpenCV 5 takes no more channels at once (OpenCV 4 takes 512).
_CHANNELS = 128


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, which may reach beyond it, and what becomes of it.

    Args:
        start: (top, left) of the rectangle; negative where it begins before the image.
        span: (height, width) of the rectangle.
        size: (height, width) to which it is resized.
        turns: Quarter turns counterclockwise, after resizing.
        flips: Whether to reflect (rows, columns), after turning.
    """

    start: Size
    span: Size
    size: Size
    turns: int = 0
    flips: tuple[bool, bool] = (False, False)

    def cut(self, pixels: np.ndarray, fill: int, interpolation: int) -> np.ndarray:
        """Return the window of an image (H, W, C) or a mask (H, W), contiguous in memory.

        >>> Window((1, -1), (2, 3), (2, 3)).cut(np.array([[1, 2], [3, 4], [5, 6]]), 0, cv2.INTER_NEAREST_EXACT)
        array([[0, 3, 4],
               [0, 5, 6]])
        """
        cut = _padded(pixels, self.start, self.span)
        if self.span != self.size:
            cut = _in_parts(lambda part: cv2.resize(part, self.size[::-1], interpolation=interpolation), cut)
        rows, columns = map(_outside, self.start, self.span, self.size, pixels.shape[:2])
        if rows.any() or columns.any():
            cut[rows] = fill
            cut[:, columns] = fill
        return np.ascontiguousarray(_flipped(_turned(cut, self.turns), self.flips))


def start_of(full: int, span: int, share: float) -> int:
    """Return where a window of ``span`` begins on an axis of ``full``, for a share in 0…1 of the places possible.

    A window that fits lies inside; a larger one covers the axis.

    >>> start_of(10, 8, 0.0), start_of(10, 8, 0.99), start_of(10, 13, 0.99)
    (0, 2, -3)
    """
    room = full - span
    place = min(int(share * (abs(room) + 1)), abs(room))
    return place if room >= 0 else -place


def _padded(pixels: np.ndarray, start: Size, span: Size) -> np.ndarray:
    """Return the rectangle with the image's edge repeated beyond it, so that resizing blends nothing else in."""
    stop = (start[0] + span[0], start[1] + span[1])
    cut = pixels[max(start[0], 0) : stop[0], max(start[1], 0) : stop[1]]
    margins = [(max(-a, 0), max(b - full, 0)) for a, b, full in zip(start, stop, pixels.shape[:2], strict=True)]
    return np.pad(cut, [*margins, (0, 0)][: cut.ndim], mode="edge") if np.any(margins) else cut


def _outside(start: int, span: int, size: int, full: int) -> np.ndarray:
    """Return which of the ``size`` places on an axis have their centre beyond the image."""
    centres = start + (2 * np.arange(size) + 1) * span // (2 * size)
    return (centres < 0) | (centres >= full)


def _turned(pixels: np.ndarray, turns: int) -> np.ndarray:
    if turns == 0:
        return pixels
    if pixels.ndim == 2 or pixels.shape[2] > 4:
        return np.rot90(pixels, turns)
    # OpenCV turns colours ten times as fast as NumPy, but four channels at most.
    codes = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
    return _in_parts(lambda part: cv2.rotate(part, codes[turns]), pixels)


def _flipped(pixels: np.ndarray, flips: tuple[bool, bool]) -> np.ndarray:
    if flips == (False, False):
        return pixels
    code = {(True, False): 0, (False, True): 1, (True, True): -1}[flips]
    return _in_parts(lambda part: cv2.flip(part, code), pixels)


def _in_parts(change: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """Apply a function of OpenCV, which limits the channels and drops the axis of a single one."""
    if pixels.ndim == 2:
        return change(np.ascontiguousarray(pixels))
    parts = [pixels[..., first : first + _CHANNELS] for first in range(0, pixels.shape[2], _CHANNELS)]
    changed = [change(np.ascontiguousarray(part)) for part in parts]
    restored = [part[..., np.newaxis] if part.ndim == 2 else part for part in changed]
    return restored[0] if len(restored) == 1 else np.concatenate(restored, axis=2)


@annotated
@dataclass(frozen=True)
class Augment:
    """The augmentation of training samples. The defaults change nothing.

    Args:
        scale: Range of the random zoom, (smallest, largest). 2.0 shows objects twice as large. None: no zoom.
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of an up-down flip.
        rotate_90: Probability of a rotation by 90°, 180° or 270°.
        brightness: Largest random shift, as a share of the full range: with 0.2, most of a dark image may turn black.
        contrast: Largest random change of the gain of all channels together, as a share.
        channel_gain: Largest random change of the gain of each single channel, as a share.
        noise: Largest standard deviation of Gaussian noise, as a share of the full range. Each sample has its own.

    Raises:
        ConfigError: A probability or share is outside 0…1, or a range is not 0 < smallest ≤ largest.
    """

    group: ClassVar[str] = "data.augment"
    scale: tuple[Positive, Positive] | None = None
    horizontal_flip: Share = 0.0
    vertical_flip: Share = 0.0
    rotate_90: Share = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    channel_gain: Share = 0.0
    noise: Share = 0.0

    def __post_init__(self) -> None:
        if self.scale is not None:
            smallest, largest = self.scale
            if smallest > largest:
                raise ConfigError(f"data.augment.scale={list(self.scale)} must be [smallest, largest]")
            object.__setattr__(self, "scale", (float(smallest), float(largest)))

    def check_channels(self, in_channels: int) -> None:
        """Raise a ConfigError for what albumentations cannot do to images of so many channels."""
        for name in ("channel_gain", "noise"):
            if in_channels > _CHANNELS and getattr(self, name):
                raise ConfigError(
                    f"data.augment.{name}={getattr(self, name)} takes images of {_CHANNELS} channels at most, and "
                    f"data.in_channels={in_channels}.\n  try: data.augment.{name}=0"
                )

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> "Augment":
        """Make one from a mapping; None changes nothing, and an unknown key is a ConfigError."""
        if not isinstance(options, Mapping | None):
            raise ConfigError(f"augment must be a group of keys or null, not {options!r}")
        known = [field.name for field in fields(cls)]
        for name in options or {}:
            if name not in known:
                raise ConfigError(unknown("option of augment", name, known))
        return cls(**(options or {}))


class TrainingTransform:
    """One random view of an image and its mask, a function of the seed alone.

    Args:
        size: (height, width) of the result.
        augment: How the views vary.
        ignore_index: What the mask gets where the image ends before the crop does (the image gets 0 there).

    Example:
        >>> transform = TrainingTransform((5, 7), Augment(horizontal_flip=0.5), ignore_index=255)
        >>> image, mask = np.zeros((4, 9, 3), np.uint8), np.zeros((4, 9), np.int32)
        >>> crop, ids = transform(image, mask, seed=0)
        >>> crop.shape, ids.shape, int((ids == 255).sum())
        ((5, 7, 3), (5, 7), 7)
    """

    def __init__(self, size: Size, augment: Augment, ignore_index: int) -> None:
        steps: list[A.BasicTransform] = [RandomWindow(size, augment, ignore_index)]
        with warnings.catch_warnings():
            # A wrong argument is but a warning to albumentations, and then it does something else.
            warnings.simplefilter("error")
            if augment.brightness or augment.contrast:
                limits = {"brightness_limit": augment.brightness, "contrast_limit": augment.contrast}
                steps.append(A.RandomBrightnessContrast(**limits, p=1.0))
            if augment.channel_gain:
                gains = (1 - augment.channel_gain, 1 + augment.channel_gain)
                steps.append(A.MultiplicativeNoise(multiplier=gains, per_channel=True, elementwise=False, p=1.0))
            if augment.noise:
                steps.append(A.GaussNoise(std_range=(0, augment.noise), mean_range=(0, 0), per_channel=True, p=1.0))
            self._compose = A.Compose(steps, strict=True)

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the view of (H, W, C) and (H, W) that ``seed`` chooses."""
        # Compose would give every step the same seed, and what they draw would go together.
        seeds = np.random.SeedSequence(seed).generate_state(len(self._compose.transforms))
        for step, own in zip(self._compose.transforms, seeds.tolist(), strict=True):
            step.set_random_seed(own)
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


class RandomWindow(A.DualTransform):
    """Choose a window by zoom, place, rotation and reflection, and cut it from image and mask alike.

    Cutting first and resizing the window alone costs the same for an image of any size.
    """

    def __init__(self, size: Size, augment: Augment, ignore_index: int) -> None:
        super().__init__(p=1.0)
        self.size = size
        self.augment = augment
        self.ignore_index = ignore_index

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Return what albumentations writes into its summaries."""
        return ("size", "augment", "ignore_index")

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the window; always the same number of draws in the same order."""
        del data
        chances = [self.py_random.random() for _ in range(7)]
        smallest, largest = self.augment.scale or (1.0, 1.0)
        scale = smallest + chances[0] * (largest - smallest)
        turns = 1 + int(3 * chances[1]) if chances[2] < self.augment.rotate_90 else 0
        high, wide = self.size[::-1] if turns % 2 else self.size
        span = (max(1, round(high / scale)), max(1, round(wide / scale)))
        height, width = params["shape"][:2]
        start = (start_of(height, span[0], chances[3]), start_of(width, span[1], chances[4]))
        flips = (chances[5] < self.augment.vertical_flip, chances[6] < self.augment.horizontal_flip)
        return {"window": Window(start, span, (high, wide), turns, flips)}

    def apply(self, img: np.ndarray, window: Window, **_: Any) -> np.ndarray:
        """Cut the image; padding is 0."""
        return window.cut(img, fill=0, interpolation=cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: np.ndarray, window: Window, **_: Any) -> np.ndarray:
        """Cut the mask; padding is the ignore_index."""
        return window.cut(mask, fill=self.ignore_index, interpolation=cv2.INTER_NEAREST_EXACT)
