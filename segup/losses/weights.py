"""Class weights that balance a training set by how often each class occurs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segup.calls import annotated
from segup.errors import ConfigError


@annotated
def median_frequency_weights(
    pixels_per_class: Sequence[int] | Tensor, pixels_of_images_with_class: Sequence[int] | Tensor
) -> Tensor:
    """Return the weights of median frequency balancing: median(frequency) / frequency of each class.

    The frequency of a class is its pixels over all pixels of the images it occurs in; the median is over the classes
    that occur (the mean of the middle two when their number is even). A class that never occurs has no frequency: it
    is left out of the median and weighs 0.

    Args:
        pixels_per_class: Pixels of each class over the training set, K of them, ignored pixels left out.
        pixels_of_images_with_class: For each class, all pixels, ignored ones left out, of the images it occurs in.

    Returns:
        K weights, float32.

    Raises:
        ConfigError: If the two differ in length, a count is negative or larger than its images, or no class occurs.

    Source: Eigen and Fergus (arXiv 1411.4734), section 6.3.2, as used by SegNet (arXiv 1511.00561).

    >>> median_frequency_weights([600, 300, 100, 0], [1000, 1000, 500, 0])
    tensor([0.5000, 1.0000, 1.5000, 0.0000])
    """
    pixels = torch.as_tensor(pixels_per_class, dtype=torch.float64, device="cpu")
    images = torch.as_tensor(pixels_of_images_with_class, dtype=torch.float64, device="cpu")
    if pixels.ndim != 1 or pixels.shape != images.shape:
        raise ConfigError(
            f"pixels_per_class has shape {tuple(pixels.shape)}, pixels_of_images_with_class {tuple(images.shape)}: "
            "both must be (K,), one count per class"
        )
    if bool((pixels < 0).any()) or bool((pixels > images).any()):
        raise ConfigError(
            f"pixels_per_class={pixels.long().tolist()} and pixels_of_images_with_class={images.long().tolist()}: "
            "each count must be at least 0 and at most the pixels of the images with that class"
        )
    occurs = pixels > 0
    if not bool(occurs.any()):
        raise ConfigError(
            f"pixels_per_class={pixels.long().tolist()}: no class occurs, so there is no median frequency: "
            "check the masks and ignore_index"
        )
    frequency = pixels[occurs] / images[occurs]
    weights = torch.zeros_like(pixels)
    weights[occurs] = frequency.quantile(0.5) / frequency
    return weights.float()
