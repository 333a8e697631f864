"""Class colours over an image, with a thin line where classes meet."""

import numpy as np

from segup.data.labels import Labels

_LINE = np.array([255, 255, 255], dtype=np.uint8)
_ROWS = 1024


def overlay(image: np.ndarray, ids: np.ndarray, labels: Labels, opacity: float = 0.45) -> np.ndarray:
    """Return ``(H, W, 3)`` uint8: the image through its classes' colours, a white line where two classes meet.

    A black class, which is what data sets call background, is left clear: black would only darken it.

    Args:
        image: ``(C, H, W)`` in 0 … 1; its first three channels are shown, or its first in grey where it has fewer.
        ids: ``(H, W)`` class ids.
        labels: The classes' colours.
        opacity: Of the colours, 0 … 1.

    >>> labels = Labels(("background", "cell"), ((0, 0, 0), (0, 100, 200)))
    >>> overlay(np.ones((3, 1, 3)), np.array([[1, 1, 0]]), labels, opacity=0.5).tolist()
    [[[128, 178, 228], [255, 255, 255], [255, 255, 255]]]
    """
    colors = np.array(labels.colors, dtype=np.float32)
    strength = np.where(colors.any(axis=1, keepdims=True), opacity, 0)
    picture = np.empty((*ids.shape, 3), dtype=np.uint8)
    for top in range(0, ids.shape[0], _ROWS):  # in parts: a large image has few temporaries
        rows = slice(top, top + _ROWS)
        shown = _rgb(image[:, rows]) * 255
        mixed = shown + strength[ids[rows]] * (colors[ids[rows]] - shown)
        picture[rows] = np.rint(mixed)
        picture[rows][_borders(ids[top : top + _ROWS + 1])[: mixed.shape[0]]] = _LINE
    return picture


def _rgb(image: np.ndarray) -> np.ndarray:
    picked = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.clip(np.moveaxis(picked, 0, -1), 0, 1).astype(np.float32)


def _borders(ids: np.ndarray) -> np.ndarray:
    """Return where the class differs from the one to the right or below."""
    borders = np.zeros(ids.shape, dtype=bool)
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    borders[:-1] |= ids[:-1] != ids[1:]
    return borders
