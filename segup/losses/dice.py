"""Dice loss: overlap in which false positives and false negatives weigh the same."""

from typing import Any

from segup.conform import NotNegative
from segup.losses.base import register_loss
from segup.losses.tversky import OverlapLoss


@register_loss("dice")
class Dice(OverlapLoss):
    """One minus the Dice coefficient per class, over the whole batch, averaged over all K classes.

    The coefficient is (2·TP + s) / (2·TP + FP + FN + s) with probabilities for counts and s = 2·smooth. A class
    without a pixel in the batch's target adds 0 to the mean. One sigmoid channel measures the foreground alone.

    Args:
        num_classes, ignore_index: See :class:`segup.losses.SegmentationLoss`.
        class_weights: One number per class for a weighted mean over classes, or None; None when ``num_classes=1``.
        smooth: Half of what is added to numerator and denominator, at least 0.

    Raises:
        ConfigError: If ``smooth`` is negative, or ``num_classes=1`` is given weights.

    Source: Milletari et al., arXiv 1606.04797, with plain sums in the denominator.

    >>> import torch
    >>> loss = Dice(num_classes=1)
    >>> round(loss(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item(), 4)  # 1 - 2·1 / (1.5 + 2)
    0.4286
    """

    def __init__(self, *, smooth: NotNegative = 0.0, **common: Any) -> None:
        super().__init__(0.5, 0.5, smooth, **common)
