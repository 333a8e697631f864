"""Random crops and augmentations of a training sample; the only file that imports albumentations."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# The package asks a server for its newest version when it is imported, unless this is set before.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812
import cv2
import numpy as np

from segup.errors import ConfigError, unknown

Size = tuple[int, int]


@dataclass(frozen=True)
class Augment:
    """How training samples vary; the defaults change nothing.

    Args:
        scale: Range of the random zoom, (smallest, largest); 2.0 shows objects twice as large.
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of an up-down flip.
        rotate_90: Probability of a rotation by 90°, 180° or 270°.
        brightness: Largest random change of brightness, as a share of the full range.
        contrast: Largest random change of contrast, as a share.

    Raises:
        ConfigError: For a probability or share outside 0…1 and for a range that is not 0 < smallest ≤ largest.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    rotate_90: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        scale = tuple(self.scale) if isinstance(self.scale, tuple | list) else ()
        if len(scale) != 2 or not all(_is_number(v) for v in scale) or not 0 < scale[0] <= scale[1]:
            raise ConfigError(
                f"augment.scale must be [smallest, largest] with 0 < smallest ≤ largest, not {self.scale!r}"
            )
        object.__setattr__(self, "scale", (float(scale[0]), float(scale[1])))
        for name in ("horizontal_flip", "vertical_flip", "rotate_90", "brightness", "contrast"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise ConfigError(f"augment.{name} must be a number in 0…1, not {value!r}")

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> "Augment":
        """Make one from a mapping; None changes nothing, and an unknown key is a ConfigError."""
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
        steps: list[A.BasicTransform] = [Window(size, augment.scale, augment.rotate_90, ignore_index)]
        with warnings.catch_warnings():
            # A wrong argument is but a warning to albumentations, and then it does something else.
            warnings.simplefilter("error")
            if augment.horizontal_flip:
                steps.append(A.HorizontalFlip(p=augment.horizontal_flip))
            if augment.vertical_flip:
                steps.append(A.VerticalFlip(p=augment.vertical_flip))
            if augment.brightness or augment.contrast:
                limits = {"brightness_limit": augment.brightness, "contrast_limit": augment.contrast}
                steps.append(A.RandomBrightnessContrast(**limits, p=1.0))
            self._compose = A.Compose(steps, strict=True)

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the view of (H, W, C) and (H, W) that ``seed`` chooses."""
        # Compose would give every step the same seed, and two flips of equal probability would always agree.
        seeds = np.random.SeedSequence(seed).generate_state(len(self._compose.transforms))
        for step, own in zip(self._compose.transforms, seeds.tolist(), strict=True):
            step.set_random_seed(own)
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


class Window(A.DualTransform):
    """Cut a random window, pad it where the image ends, and bring it to the size asked for.

    Cutting first and resizing the window alone costs the same for an image of any size.
    """

    def __init__(self, size: Size, scale: tuple[float, float], rotate_90: float, ignore_index: int) -> None:
        super().__init__(p=1.0)
        self.size = size
        self.scale = scale
        self.rotate_90 = rotate_90
        self.ignore_index = ignore_index

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Return what albumentations writes into its summaries."""
        return ("size", "scale", "rotate_90", "ignore_index")

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Choose scale, rotation and place."""
        del data
        draw = self.py_random
        scale = draw.uniform(*self.scale)
        turns = draw.randint(1, 3) if draw.random() < self.rotate_90 else 0
        size = self.size[::-1] if turns % 2 else self.size
        spans = [max(1, round(side / scale)) for side in size]
        starts = [_start(full, span, draw.random()) for full, span in zip(params["shape"][:2], spans, strict=True)]
        return {"starts": tuple(starts), "spans": tuple(spans), "cut_size": size, "turns": turns}

    def apply(self, img: np.ndarray, starts: Size, spans: Size, cut_size: Size, turns: int, **_: Any) -> np.ndarray:
        """Cut the image; padding is 0."""
        return _cut(img, starts, spans, cut_size, turns, fill=0, interpolation=cv2.INTER_LINEAR)

    def apply_to_mask(
        self, mask: np.ndarray, starts: Size, spans: Size, cut_size: Size, turns: int, **_: Any
    ) -> np.ndarray:
        """Cut the mask; padding is the ignore_index."""
        return _cut(mask, starts, spans, cut_size, turns, fill=self.ignore_index, interpolation=cv2.INTER_NEAREST_EXACT)


def _start(full: int, span: int, share: float) -> int:
    """Return where a window begins: inside the image where it fits, else so that it covers the image whole."""
    room = full - span
    return min(int(share * (room + 1)), room) if room >= 0 else -min(int(share * (1 - room)), -room)


def _cut(
    pixels: np.ndarray, starts: Size, spans: Size, size: Size, turns: int, fill: int, interpolation: int
) -> np.ndarray:
    (top, left), (high, wide) = starts, spans
    height, width = pixels.shape[:2]
    bottom, right = top + high, left + wide
    cut = pixels[max(top, 0) : bottom, max(left, 0) : right]
    before, after = (max(-top, 0), max(-left, 0)), (max(bottom - height, 0), max(right - width, 0))
    if any(before) or any(after):
        margins = [(before[0], after[0]), (before[1], after[1]), (0, 0)]
        cut = np.pad(cut, margins[: cut.ndim], constant_values=fill)
    if spans != size:
        resized = cv2.resize(cut, size[::-1], interpolation=interpolation)
        cut = resized.reshape(*size, *pixels.shape[2:])
    return np.ascontiguousarray(np.rot90(cut, turns))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
