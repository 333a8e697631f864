"""Tversky loss: overlap in which false positives and false negatives weigh differently."""

from typing import Any

import torch
from torch import Tensor

from segup.conform import NotNegative
from segup.errors import ConfigError
from segup.losses.base import SegmentationLoss, refuse_binary_weights, register_loss


class OverlapLoss(SegmentationLoss):
    """The base of losses that are one minus an overlap per class; the arguments are those of :class:`Tversky`."""

    def __init__(self, alpha: float, beta: float, smooth: float, **common: Any) -> None:
        super().__init__(**common)
        refuse_binary_weights(type(self).__name__.lower(), self.num_classes, self.class_weights)
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over classes; see :meth:`SegmentationLoss.compute`."""
        losses = overlap_losses(logits, target, valid, alpha=self.alpha, beta=self.beta, smooth=self.smooth)
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights.to(losses.dtype)
        return (losses * weights).sum() / weights.sum()


@register_loss("tversky")
class Tversky(OverlapLoss):
    """One minus the Tversky index per class, over the whole batch, averaged over all K classes.

    The index is (TP + smooth) / (TP + alpha·FP + beta·FN + smooth), with probabilities for counts. A class without a
    pixel in the batch's target adds 0 to the mean. One sigmoid channel measures the foreground alone.

    Args:
        num_classes, ignore_index: See :class:`segup.losses.SegmentationLoss`.
        class_weights: One number per class for a weighted mean over classes, or None; None when ``num_classes=1``.
        alpha: Weight of false positives, at least 0.
        beta: Weight of false negatives, at least 0.
        smooth: Added to numerator and denominator, at least 0.

    Raises:
        ConfigError: If a number is out of range, or ``num_classes=1`` is given weights.

    Source: Salehi et al., arXiv 1706.05721, equation 4, whose best alpha and beta are the defaults.

    >>> loss = Tversky(num_classes=2)
    >>> logits = torch.tensor([9.0, -9.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 2)
    >>> round(loss(logits, torch.tensor([[[0, 0], [0, 1]]])).item(), 4)  # (1 - 3 / 3.3) / 2 + 1 / 2
    0.5455
    """

    def __init__(
        self,
        *,
        alpha: NotNegative = 0.3,
        beta: NotNegative = 0.7,
        smooth: NotNegative = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(alpha, beta, smooth, **common)
        if alpha == beta == 0:
            raise ConfigError("alpha=0 and beta=0: one must be above 0, or no error costs anything")


def overlap_losses(
    logits: Tensor, target: Tensor, valid: Tensor, *, alpha: float, beta: float, smooth: float, eps: float = 1e-7
) -> Tensor:
    """Return one minus the Tversky index of each class ``(K,)``, 0 for a class without a pixel in the target."""
    binary = logits.shape[1] == 1
    counted = valid.unsqueeze(1)
    probability = (logits.sigmoid() if binary else logits.softmax(dim=1)) * counted
    labels = target.masked_fill(~valid, 0).unsqueeze(1)
    if binary:
        truth = labels.to(logits.dtype)
    else:
        truth = torch.zeros_like(probability).scatter_(1, labels, counted.to(logits.dtype))
    pixels = (0, 2, 3)
    support = truth.sum(pixels)
    hit = (probability * truth).sum(pixels)
    false_positive = probability.sum(pixels) - hit
    false_negative = support - hit
    denominator = (hit + alpha * false_positive + beta * false_negative + smooth).clamp_min(eps)
    return (1 - (hit + smooth) / denominator) * (support > 0)
