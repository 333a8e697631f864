"""Images in, class-id files and coloured overlays out, each at exactly its image's size."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch

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
        image: ``(C, H, W)``, uint8, or in 0 … 1, of which 8 bits are shown; its first three channels, or its first in
            grey where it has fewer.
        ids: ``(H, W)`` class ids.
        labels: The classes' colours.
        opacity: Of the colours, 0 … 1.

    >>> labels = Labels(("background", "cell"), ((0, 0, 0), (0, 100, 200)))
    >>> overlay(np.ones((3, 1, 3)), np.array([[1, 1, 0]]), labels, opacity=0.5).tolist()
    [[[128, 178, 228], [255, 255, 255], [255, 255, 255]]]
    """
    colors, values = np.array(labels.colors, dtype=np.float32), np.arange(256, dtype=np.float32)
    strength = np.where(colors.any(axis=1, keepdims=True), np.float32(opacity), np.float32(0))
    # What each class makes of each value, for each channel of the picture: one number is looked up for each.
    tables = [np.rint(values + strength * (color[:, None] - values)).astype(np.uint8).ravel() for color in colors.T]
    picture = np.empty((*ids.shape, 3), dtype=np.uint8)
    for top in range(0, ids.shape[0], _ROWS):  # in parts: a large image has few temporaries
        rows = slice(top, top + _ROWS)
        of_class = ids[rows].astype(np.intp) * 256
        for channel, (table, shown) in enumerate(zip(tables, _rgb(image[:, rows]), strict=True)):
            picture[rows, :, channel] = table.take(of_class + shown)
        picture[rows][_borders(ids[top : top + _ROWS + 1])[: of_class.shape[0]]] = _LINE
    return picture


def _rgb(image: np.ndarray) -> np.ndarray:
    picked = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return picked if picked.dtype == np.uint8 else np.rint(np.clip(picked, 0, 1) * 255).astype(np.uint8)


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
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for task, found in images if watch is None else watch(images, len(tasks)):
            try:
                image = found()
                ids = _segmented(model, image, how, task.image)
            except SegupError as error:
                failures.append(str(error))
                continue
            if written is not None:
                written.result()  # at most one image waits to be written
            written = writer.submit(_write, task, image, ids, labels)
        if written is not None:
            written.result()
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


def _write(task: Task, image: torch.Tensor, ids: np.ndarray, labels: Labels) -> None:
    _write_png(ids, task.ids, task.replace)
    drawn = overlay(image.numpy(), ids, labels)
    _write_png(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR, dst=drawn), task.overlay, task.replace)


def _write_png(pixels: np.ndarray, path: Path, replace: bool) -> None:
    """Write a PNG so that it is whole or not there; OpenCV does it at a seventh of Pillow's time, others work on."""
    _, encoded = cv2.imencode(".png", pixels)
    atomic_write(path, encoded.data, replace=replace)
