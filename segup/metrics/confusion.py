"""The confusion matrix, and the scores that follow from it; a score with nothing to divide by is NaN."""

import numpy as np
import torch

from segup.metrics.boundary import LabelMap


def confusion_matrix(prediction: LabelMap, target: LabelMap, num_classes: int) -> torch.Tensor:
    """Return the pixel counts ``(K, K)`` of one image, rows the target's class, columns the predicted one.

    What torchmetrics' ``multiclass_confusion_matrix`` counts; that one needs pixels times (K + 1)² numbers of memory
    in torch's deterministic mode.

    Args:
        prediction: Label map ``(H, W)``.
        target: Label map ``(H, W)``, 0 at the same pixels.
        num_classes: K.

    >>> confusion_matrix(np.array([[1, 2, 2, 0]], np.uint8), np.array([[1, 1, 2, 0]], np.uint8), 2)
    tensor([[1, 1],
            [0, 1]])
    """
    side = num_classes + 1
    cells = target.astype(np.int64) * side + prediction
    counts = np.bincount(cells.ravel(), minlength=side**2).reshape(side, side)
    return torch.from_numpy(counts[1:, 1:])


def class_rows(confusion: torch.Tensor, ignore_index: int) -> list[list[int]]:
    """Return for each class that occurs: its id, the pixels both agree on, those predicted and those in the target.

    Args:
        confusion: ``(K, K)`` pixel counts, rows the target's class, columns the predicted one.
        ignore_index: A class that is left out.

    >>> class_rows(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), 255)
    [[0, 3, 3, 4], [1, 4, 5, 4]]
    """
    counts = torch.stack([confusion.diagonal(), confusion.sum(0), confusion.sum(1)], 1)
    ids = [c for c in counts[:, 1:].sum(1).nonzero().flatten().tolist() if c != ignore_index]
    return [[c, *counts[c].tolist()] for c in ids]


def iou(confusion: torch.Tensor) -> torch.Tensor:
    """Return the IoU of each class: the pixels both agree on over the pixels that either gives the class.

    Args:
        confusion: ``(K, K)`` pixel counts, rows the target's class, columns the predicted one.

    Returns:
        ``(K,)``, float64, NaN for a class in neither target nor prediction.

    >>> iou(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    tensor([0.7500, 0.8000,    nan], dtype=torch.float64)
    """
    both = confusion.diagonal().double()
    return both / (confusion.sum(0) + confusion.sum(1) - both)


def dice(confusion: torch.Tensor) -> torch.Tensor:
    """Return the Dice coefficient (F1) of each class ``(K,)``, NaN for a class in neither target nor prediction.

    >>> dice(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    tensor([0.8571, 0.8889,    nan], dtype=torch.float64)
    """
    return 2 * confusion.diagonal().double() / (confusion.sum(0) + confusion.sum(1))


def class_accuracy(confusion: torch.Tensor) -> torch.Tensor:
    """Return the share of each class's pixels that is predicted right ``(K,)``, NaN for a class not in the target.

    >>> class_accuracy(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    tensor([0.7500, 1.0000,    nan], dtype=torch.float64)
    """
    return confusion.diagonal().double() / confusion.sum(1)


def pixel_accuracy(confusion: torch.Tensor) -> torch.Tensor:
    """Return the share of all pixels that is predicted right, NaN where there are none.

    >>> pixel_accuracy(torch.tensor([[3, 1], [0, 4]]))
    tensor(0.8750, dtype=torch.float64)
    """
    return confusion.diagonal().sum().double() / confusion.sum()
