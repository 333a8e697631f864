"""A window of an image, brought to the size, rotation and reflection asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

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
