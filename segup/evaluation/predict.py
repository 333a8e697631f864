"""Images in, class-id files and coloured overlays out, each at exactly its image's size."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from segup.atomic import atomic_write
from segup.data.headers import MAX_PIXELS, check_pixels, read_header
from segup.data.images import decode_image
from segup.data.labels import Labels
from segup.data.ranges import Range
from segup.errors import DataError, SegupError
from segup.evaluation.plan import Task
from segup.evaluation.segment import WHOLE, Inference, Predictor, segment_stored

_LINE = np.array([255, 255, 255], dtype=np.uint8)
_ROWS = 1024


def overlay(image: np.ndarray, ids: np.ndarray, labels: Labels, opacity: float = 0.45) -> np.ndarray:
    """Return ``(H, W, 3)`` uint8: the image through its classes' colours, a white line where two classes meet.

    A black class, which is what data sets call background, is left clear: black would only darken it.

    Args:
        image: ``(C, H, W)``, in 0 … 1 or uint8; its first three channels are shown, or its first in grey where it has
            fewer.
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
    unit = picked / np.float32(255) if picked.dtype == np.uint8 else picked
    return np.clip(np.moveaxis(unit, 0, -1), 0, 1).astype(np.float32)


def _borders(ids: np.ndarray) -> np.ndarray:
    """Return where the class differs from the one to the right or below."""
    borders = np.zeros(ids.shape, dtype=bool)
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    borders[:-1] |= ids[:-1] != ids[1:]
    return borders


A = TypeVar("A")
B = TypeVar("B")

AHEAD = 2
"""Images that wait in memory."""


def read_ahead(read: Callable[[A], B], items: Iterable[A], ahead: int = AHEAD) -> Iterator[tuple[A, Callable[[], B]]]:
    """Yield each item with a function that returns what was read of it, or raises what reading raised.

    Args:
        read: Called in a thread, for at most ``ahead`` items before their turn.
        items: In order. One is taken when its reading begins.

    >>> [(item, found()) for item, found in read_ahead(str, range(3))]
    [(0, '0'), (1, '1'), (2, '2')]
    """
    waiting: deque[tuple[A, Future[B]]] = deque()
    with ThreadPoolExecutor(1) as reader:
        try:
            for item in items:
                waiting.append((item, reader.submit(read, item)))
                if len(waiting) > ahead:
                    first, found = waiting.popleft()
                    yield first, found.result
            while waiting:
                first, found = waiting.popleft()
                yield first, found.result
        finally:
            for _, found in waiting:
                found.cancel()


def predict_files(
    model: Predictor,
    labels: Labels,
    tasks: Sequence[Task],
    how: Inference = WHOLE,
    max_pixels: int = MAX_PIXELS,
    image_range: Range = "dtype",
    watch: Callable[[Iterable[Any], int], Iterable[Any]] | None = None,
) -> list[str]:
    """Segment images and write each one's class ids and overlay, at exactly its size.

    The class ids are a grey PNG whose values are the ids: 8-bit, or 16-bit for more than 256 classes. Where a camera
    noted an orientation (EXIF), it is followed, so that the files have the turned image's size. An image that cannot
    be used is left out and the others are done.

    Args:
        model: On any device.
        labels: The classes' colours.
        tasks: From :func:`segup.evaluation.plan.plan`.
        how: Whole or in windows, with reflections or without.
        max_pixels: Images of more are left out, unread.
        image_range: The values that are 0 and 1 in images, as in the training; see
            :func:`segup.data.images.read_image`.
        watch: Wraps the images, given their number: a progress bar.

    Returns:
        What kept images from being segmented, a line for each.

    Raises:
        DataError: A file cannot be written.
    """

    def read(task: Task) -> torch.Tensor:
        return _read(task.image, model.in_channels, max_pixels, image_range)

    failures = []
    images = read_ahead(read, tasks)
    for task, found in images if watch is None else watch(images, len(tasks)):
        try:
            image = found()
            ids = _segmented(model, image, how, task.image)
        except SegupError as error:
            failures.append(str(error))
            continue
        _write(Image.fromarray(ids), task.ids)
        _write(Image.fromarray(overlay(image.numpy(), ids, labels)), task.overlay)
    return failures


def _read(path: Path, in_channels: int, max_pixels: int, image_range: Range) -> torch.Tensor:
    header = read_header(path)
    check_pixels(path, header, max_pixels, "--max-pixels ")
    try:
        pixels = np.require(decode_image(path, in_channels, image_range), requirements="W")  # as torch wants it
        return torch.from_numpy(pixels).permute(2, 0, 1)
    except MemoryError as cause:
        raise DataError(f"{path}: {header.height}×{header.width} pixels do not fit into memory") from cause


def _segmented(model: Predictor, image: torch.Tensor, how: Inference, path: Path) -> np.ndarray:
    try:
        ids: np.ndarray = segment_stored(model, image, how).numpy()
    except RuntimeError as cause:
        if not isinstance(cause, torch.OutOfMemoryError) and "you tried to allocate" not in str(cause):
            raise  # on the CPU torch raises a plain RuntimeError
        height, width = image.shape[-2:]
        way = "a smaller --window or --batch-size" if how.window else "--window 1024"
        raise DataError(f"{path}: {height}×{width} needs more memory than there is.\n  try: {way}.") from cause
    return ids if ids.dtype == np.uint8 else ids.astype(np.uint16)


def _write(picture: Image.Image, path: Path) -> None:
    """Write a PNG so that it is whole or not there."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    atomic_write(path, buffer.getbuffer())
