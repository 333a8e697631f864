"""Label maps: class id + 1, and 0 where a pixel does not count, so that one small array says both."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LabelMap: TypeAlias = NDArray[np.integer]
Mask: TypeAlias = NDArray[np.bool_]


def label_map(labels: NDArray[np.integer], valid: Mask, num_classes: int) -> LabelMap:
    """Return class ids + 1, and 0 where a pixel does not count, in the smallest unsigned dtype.

    >>> label_map(np.array([[0, 2, 255]]), np.array([[True, True, False]]), num_classes=3)
    array([[1, 3, 0]], dtype=uint8)
    """
    small: LabelMap = labels.astype(np.min_scalar_type(num_classes))
    return (small + 1) * valid
