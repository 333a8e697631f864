"""Marked maps: class id + 1, and 0 where a pixel does not count, so that one small array says both."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Marked: TypeAlias = NDArray[np.integer]
Mask: TypeAlias = NDArray[np.bool_]


def mark(labels: NDArray[np.integer], valid: Mask, num_classes: int) -> Marked:
    """Return class ids + 1, and 0 where a pixel does not count, in the smallest unsigned dtype.

    >>> mark(np.array([[0, 2, 255]]), np.array([[True, True, False]]), num_classes=3)
    array([[1, 3, 0]], dtype=uint8)
    """
    small: Marked = labels.astype(np.min_scalar_type(num_classes))
    return (small + 1) * valid
