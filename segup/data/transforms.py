"""Random crops and augmentations of a training sample; the only file that imports albumentations."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from segup.calls import annotated
from segup.conform import Positive, Share

# The package asks a server for its newest version when it is imported, unless this is set before.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np

from segup.data.windows import Size, Window, start_of
from segup.errors import ConfigError, unknown


@annotated
@dataclass(frozen=True)
class Augment:
    """The augmentation of training samples. The defaults change nothing.

    Args:
        scale: Range of the random zoom, (smallest, largest). 2.0 shows objects twice as large. None: no zoom.
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of an up-down flip.
        rotate_90: Probability of a rotation by 90°, 180° or 270°.
        brightness: Largest random change of brightness, as a share of the full range.
        contrast: Largest random change of contrast, as a share.
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
