"""Masks that are not one file: drawn from a file for each object or class, or from outlines.

Every reader of masks asks :func:`segup.data.mask_files.mask_pixels`, which reads a file or asks a :class:`DrawnMask`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segup.data.headers import Header


@dataclass(frozen=True)
class MaskPixels:
    """The pixels of a mask.

    Attributes:
        values: Whole numbers (H, W), or colours (H, W, 3) as uint8.
        palette: The colours (256, 3) that a palette gives the numbers, -1 where it gives none; or None.
        ordered: Whether the palette's order is the file's own; a GIF's is its writer's, and says nothing.
        lossy: Whether compression may have changed the values (JPEG, WebP).
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    ordered: bool = True
    lossy: bool = False


class DrawnMask(ABC):
    """A mask that is drawn when it is read. Its pixels are class ids, 0 where nothing is drawn.

    ``str`` of it names its files in messages.
    """

    @abstractmethod
    def header(self) -> Header:
        """Return its size, without drawing it.

        Raises:
            DataError: A file is missing or unreadable, or two are of different size.
        """

    @abstractmethod
    def pixels(self) -> MaskPixels:
        """Return the class ids (H, W).

        Raises:
            DataError: A file cannot be read or drawn.
        """


MaskSource = Path | DrawnMask
"""Where a mask comes from."""
