"""A picture of a data set: images with their masks."""

from io import BytesIO

import numpy as np
from PIL import Image

from segup.data.module import SegmentationData

_SIDE = 220
_ROWS = 6


def sheet(data: SegmentationData) -> bytes:
    """Return a PNG of images to train and to validate: each row one, its mask in the classes' colours, and both."""
    colors = np.array([*data.labels.colors, (255, 255, 255)], dtype=np.uint8)
    chosen = []
    for split in ("train", "val"):
        samples = data.samples(split)
        count = min(len(samples), _ROWS // 2)
        chosen += [samples[int(number)] for number in np.linspace(0, len(samples) - 1, count)]
    rows = []
    for sample in chosen:
        image = (sample["image"][:3].numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
        image = np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else image
        ids = sample["mask"].numpy()
        mask = colors[np.where((ids >= 0) & (ids < len(data.labels.names)), ids, -1)]
        both = (0.5 * image + 0.5 * mask).astype(np.uint8)
        rows.append(np.hstack([_fitted(part) for part in (image, mask, both)]))
    content = BytesIO()
    Image.fromarray(np.vstack(rows)).save(content, "PNG")
    return content.getvalue()


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Return a picture that fits a square, on grey."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    small = Image.fromarray(pixels).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.NEAREST
    )
    square = np.full((_SIDE + 8, _SIDE + 8, 3), 90, dtype=np.uint8)
    own = np.asarray(small)
    top, left = (_SIDE + 8 - own.shape[0]) // 2, (_SIDE + 8 - own.shape[1]) // 2
    square[top : top + own.shape[0], left : left + own.shape[1]] = own
    return square
