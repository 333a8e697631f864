"""Tiny folders of images and masks, in the layouts of the real data sets."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_pairs() -> Callable[..., None]:
    """Return a function that writes random RGB images and grey masks of given sizes."""

    def write(
        images: Path, masks: Path, sizes: Sequence[tuple[int, int]], classes: int = 3, suffix: str = ".png"
    ) -> None:
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for number, size in enumerate(sizes):
            random = np.random.default_rng([number, *size])
            Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(images / f"img_{number}{suffix}")
            Image.fromarray(random.integers(0, classes, size, dtype=np.uint8)).save(masks / f"img_{number}.png")

    return write
