"""Images too large to run whole: overlapping windows, averaged with Gaussian weights that sum to 1."""

from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from torch import Tensor

from segup.calls import check
from segup.conform import Within
from segup.errors import ShapeError

Predict = Callable[[Tensor], Tensor]
"""From images ``(N, C, H, W)`` to probabilities ``(N, K, H, W)``."""

# Standard deviation of a window's weights as a share of its size: nnU-Net's and MONAI's.
SIGMA = 1 / 8


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Return where the windows of one axis begin: the first at 0, the last ending at ``size``, evenly between.

    Args:
        size: Pixels of the axis.
        window: Pixels of a window; one that is larger than the axis covers it alone.
        overlap: Smallest share of a window that it has in common with the next, from 0 to below 1.

    Raises:
        ConfigError: A window below 1, or an overlap outside 0 … 1.

    >>> window_starts(10, 4, 0.5)
    [0, 2, 4, 6]
    >>> window_starts(11, 4, 0.0)
    [0, 3, 7]
    """
    check_window(window, overlap)
    if window >= size:
        return [0]
    room, stride = size - window, max(1, int(window * (1 - overlap)))
    steps = -(-room // stride)
    return [step * room // steps for step in range(steps + 1)]


def window_weights(size: int, window: int, starts: list[int]) -> Tensor:
    """Return each window's weights on one axis, positive and summing to 1 at every pixel of it.

    A window's own weights are a Gaussian around its centre with a standard deviation of an eighth of its size; they
    are then divided by their sum over all windows. On two axes the weights are products, so that they sum to 1 again.

    Args:
        size: Pixels of the axis.
        window: Pixels of a window, at most ``size``.
        starts: From :func:`window_starts`.

    Returns:
        ``(len(starts), window)``, float32.

    >>> window_weights(4, 3, [0, 1]).sum(0).shape
    torch.Size([3])
    """
    places = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    gaussian = torch.exp(-0.5 * (places / (SIGMA * window)) ** 2)
    total = torch.zeros(size, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += gaussian
    return torch.stack([gaussian / total[start : start + window] for start in starts]).float()


def probability_bands(
    predict: Predict, image: Tensor, window: tuple[int, int], overlap: float = 0.5, batch_size: int = 1
) -> Iterator[Tensor]:
    """Yield the probabilities of an image from top to bottom, each band as soon as no further window reaches it.

    What is kept is one row of windows: 8 · K · window height · W bytes at most, on the image's device, whatever the
    image's height.

    Args:
        predict: From windows ``(N, C, h, w)`` to probabilities ``(N, K, h, w)``, on any device.
        image: ``(C, H, W)``.
        window: (height, width); where it is larger than the image, the image's own.
        overlap: Smallest share that neighbouring windows have in common, from 0 to below 1.
        batch_size: Windows that run at once.

    Yields:
        ``(K, rows, W)``, float32; the rows of all bands together are the image's.

    Raises:
        ConfigError: A window or batch size below 1, or an overlap outside 0 … 1.
        ShapeError: ``predict`` changes the size.

    Source: Isensee et al., "nnU-Net" (Nature Methods 2021), for the Gaussian; here with weights that sum to 1.
    """
    check("batch_size", Annotated[int, Within(1)], batch_size)
    height, width = image.shape[-2:]
    tall, wide = min(window[0], height), min(window[1], width)
    tops, lefts = window_starts(height, window[0], overlap), window_starts(width, window[1], overlap)
    row_weights = window_weights(height, tall, tops).to(image.device)
    column_weights = window_weights(width, wide, lefts).to(image.device)
    below: Tensor | None = None  # what this row of windows gave to the rows that the next one reaches too
    for top, following, weights in zip(tops, [*tops[1:], height], row_weights, strict=True):
        band = _row(predict, image[:, top : top + tall], lefts, wide, column_weights, batch_size)
        band *= weights[:, None]
        if below is not None:
            band[:, : below.shape[1]] += below
        yield band[:, : following - top]
        below = band[:, following - top :]


def predict_windows(
    predict: Predict, image: Tensor, window: tuple[int, int], overlap: float = 0.5, batch_size: int = 1
) -> Tensor:
    """Return the probabilities ``(K, H, W)`` of an image ``(C, H, W)``; see :func:`probability_bands`.

    >>> image = torch.rand(3, 37, 50)
    >>> averaged = predict_windows(lambda crops: crops, image, window=(16, 21))
    >>> torch.allclose(averaged, image)
    True
    """
    return torch.cat(list(probability_bands(predict, image, window, overlap, batch_size)), dim=1)


def check_window(window: int, overlap: float) -> None:
    """Raise a ConfigError for a window below 1, or an overlap outside 0 … 1."""
    check("window", Annotated[int, Within(1)], window)
    check("overlap", Annotated[float, Within(0, below=1)], overlap)


def _row(predict: Predict, strip: Tensor, lefts: list[int], wide: int, weights: Tensor, batch_size: int) -> Tensor:
    """Return the probabilities ``(K, h, W)`` of a strip ``(C, h, W)`` as tall as its windows."""
    tall, width = strip.shape[-2:]
    sums: Tensor | None = None
    places = list(zip(lefts, weights, strict=True))
    for first in range(0, len(places), batch_size):
        group = places[first : first + batch_size]
        found = predict(torch.stack([strip[..., left : left + wide] for left, _ in group]))
        _check_size(found, (tall, wide))
        found = found.to(strip.device, torch.float32)
        if sums is None:
            sums = found.new_zeros(found.shape[1], tall, width)
        for probabilities, (left, weight) in zip(found, group, strict=True):
            sums[..., left : left + wide] += probabilities * weight
    assert sums is not None  # an axis has at least one window
    return sums


def _check_size(found: Tensor, size: tuple[int, int]) -> None:
    if tuple(found.shape[-2:]) != size:
        given = "×".join(map(str, found.shape[-2:]))
        raise ShapeError(
            f"a window of {size[0]}×{size[1]} gave a map of {given}: windows are put together at their own size.\n"
            f"  try: resize the map to the window's size in what predicts it."
        )
