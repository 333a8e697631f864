"""Median frequency balancing."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.errors import ConfigError
from segup.losses import median_frequency_weights


def counts(masks: list[np.ndarray], num_classes: int) -> tuple[list[int], list[int]]:
    pixels = [sum(int((mask == c).sum()) for mask in masks) for c in range(num_classes)]
    images = [sum(mask.size for mask in masks if (mask == c).any()) for c in range(num_classes)]
    return pixels, images


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_weights_are_the_median_over_the_frequency(seed, num_classes):
    rng = np.random.default_rng(seed)
    masks = [rng.integers(rng.integers(1, num_classes + 1), size=rng.integers(1, 9, 2)) for _ in range(3)]
    pixels, images = counts(masks, num_classes)
    frequency = [p / i for p, i in zip(pixels, images, strict=True) if p]
    expected = [np.median(frequency) / (p / i) if p else 0.0 for p, i in zip(pixels, images, strict=True)]
    weights = median_frequency_weights(pixels, images)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(expected, rel=1e-6)


def test_frequency_counts_only_the_images_with_the_class():
    # 10 of 100 pixels in one image out of ten is a frequency of 0.1, not of 0.01.
    weights = median_frequency_weights(torch.tensor([990, 10]), torch.tensor([1000, 100]))
    assert weights.tolist() == pytest.approx([0.545 / 0.99, 0.545 / 0.1])


def test_equal_frequencies_weigh_one():
    assert median_frequency_weights([5, 5, 0], [10, 10, 0]).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("pixels", "images", "message"),
    [
        ([1, 2], [3], "pixels_per_class has shape (2,), pixels_of_images_with_class (1,): both must be (K,)"),
        ([1, 4], [3, 3], "each count must be at least 0 and at most the pixels of the images with that class"),
        ([1, -1], [3, 3], "each count must be at least 0"),
        ([0, 0], [0, 0], "pixels_per_class=[0, 0]: no class occurs, so there is no median frequency"),
    ],
)
def test_counts_that_cannot_be_meant(pixels, images, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        median_frequency_weights(pixels, images)
