"""What is refused before a loss is computed; nothing here waits for a GPU."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from segup.conform import short
from segup.errors import ConfigError, ShapeError


def label_classes(num_classes: int) -> int:
    """Return how many classes the labels have: one sigmoid channel separates two.

    >>> label_classes(1), label_classes(11)
    (2, 11)
    """
    return max(num_classes, 2)


def as_class_weights(weights: Sequence[float] | Tensor | None, num_classes: int) -> Tensor | None:
    """Return one float32 weight per label class, or None.

    >>> as_class_weights([1, 3], num_classes=1)
    tensor([1., 3.])

    Raises:
        ConfigError: If their number is wrong, one is negative or not finite, or all are 0.
    """
    if weights is None:
        return None
    if isinstance(weights, Tensor) and weights.dim() != 1:
        raise ConfigError(f"class_weights={short(weights)} must have one dimension, not {weights.dim()}")
    values = [float(weight) for weight in weights]
    expected = label_classes(num_classes)
    if len(values) != expected:
        binary = " (background and foreground of one sigmoid channel)" if num_classes == 1 else ""
        raise ConfigError(
            f"class_weights has {len(values)} numbers, num_classes={num_classes} takes {expected}{binary}: "
            "give one per class, or null for equal weights"
        )
    if any(not math.isfinite(value) or value < 0 for value in values) or not any(values):
        raise ConfigError(
            f"class_weights={values}: every weight must be finite and at least 0, and one must be above 0"
        )
    return torch.tensor(values, dtype=torch.float32)


def check_inputs(logits: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise a ShapeError or ConfigError unless the target labels the pixels of the logits."""
    if logits.ndim != 4 or logits.shape[1] != num_classes:
        raise ShapeError(
            f"logits have shape {tuple(logits.shape)}, must be (N, {num_classes}, H, W) for num_classes={num_classes}"
            f"{' (one sigmoid channel)' if num_classes == 1 else ''}: "
            "give the loss the num_classes that the model was built with"
        )
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise ShapeError(
            f"target has shape {tuple(target.shape)}, must be {expected}, the (N, H, W) of logits "
            f"{tuple(logits.shape)}: class ids without a channel axis, at the size of the logits"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ConfigError(f"target has dtype {target.dtype}, must be integer class ids: target.long()")
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        check_values(target, num_classes, ignore_index)


def check_values(target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise a ConfigError for class ids that are neither a class nor ``ignore_index``."""
    last = label_classes(num_classes) - 1
    stray = target[((target < 0) | (target > last)) & (target != ignore_index)]
    if stray.numel():
        found = ", ".join(str(value) for value in stray.unique().tolist()[:5])
        raise ConfigError(
            f"target holds class id {found}: num_classes={num_classes} allows 0 to {last} "
            f"and ignore_index={ignore_index}: correct the masks, num_classes or ignore_index"
        )
