"""Images in, class-id files and coloured overlays out, each at exactly its image's size."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from segup.atomic import atomic_write
from segup.data.headers import MAX_PIXELS, check_pixels, read_header
from segup.data.images import decode_image, to_tensor
from segup.data.labels import Labels
from segup.data.ranges import Range
from segup.errors import DataError, SegupError
from segup.evaluation.ahead import read_ahead
from segup.evaluation.overlay import overlay
from segup.evaluation.plan import Task
from segup.evaluation.segment import WHOLE, Inference, Predictor, segment


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
        return to_tensor(decode_image(path, in_channels, image_range))
    except MemoryError as cause:
        raise DataError(f"{path}: {header.height}×{header.width} pixels do not fit into memory") from cause


def _segmented(model: Predictor, image: torch.Tensor, how: Inference, path: Path) -> np.ndarray:
    try:
        ids: np.ndarray = segment(model, image, how).numpy()
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
