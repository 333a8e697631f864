"""How often each class occurs in the training masks, as class weights need it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segup.calls import annotated
from segup.data.mask_codes import MaskCode
from segup.data.masks import decode_mask
from segup.data.pairs import Pair
from segup.errors import ConfigError


@annotated
@dataclass(frozen=True)
class ClassFrequencies:
    """Counts over a set of masks, without ignored pixels.

    Attributes:
        pixels: Pixels of each class.
        image_pixels: Counted pixels of all images in which the class occurs.
    """

    pixels: tuple[int, ...]
    image_pixels: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.image_pixels):
            raise ConfigError(
                f"pixels has {len(self.pixels)} classes and image_pixels {len(self.image_pixels)}: one number for each "
                f"class in both"
            )

    @property
    def frequencies(self) -> tuple[float, ...]:
        """The share pixels / image_pixels of each class, 0 for a class that never occurs.

        These are the frequencies of median-frequency balancing: Eigen & Fergus, "Predicting depth, surface normals
        and semantic labels with a common multi-scale convolutional architecture" (2015), section 6.3.2.

        >>> ClassFrequencies(pixels=(30, 10, 0), image_pixels=(40, 20, 0)).frequencies
        (0.75, 0.5, 0.0)
        """
        return tuple(own / whole if whole else 0.0 for own, whole in zip(self.pixels, self.image_pixels, strict=True))


def count_classes(pairs: Sequence[Pair], code: MaskCode) -> ClassFrequencies:
    """Read each mask once and count its classes.

    Raises:
        DataError: When a mask cannot be read or holds a value that is no class.
    """
    labels = code.labels
    pixels = np.zeros(labels.num_classes, dtype=np.int64)
    image_pixels = np.zeros(labels.num_classes, dtype=np.int64)
    for pair in pairs:
        if pair.mask is None:
            continue
        ids = decode_mask(pair.mask, code)
        counts = np.bincount(ids[ids != labels.ignore_index], minlength=labels.num_classes)
        pixels += counts
        image_pixels[counts > 0] += counts.sum()
    return ClassFrequencies(tuple(pixels.tolist()), tuple(image_pixels.tolist()))
