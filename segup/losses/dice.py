"""Dice loss: overlap in which false positives and false negatives weigh the same."""

from typing import Any

from torch import Tensor

from segup.conform import NotNegative
from segup.losses.base import SegmentationLoss, refuse_binary_weights, register_loss
from segup.losses.tversky import overlap_losses


@register_loss("dice")
class Dice(SegmentationLoss):
    """One minus the Dice coefficient per class, over the whole batch, averaged over all K classes.

    The coefficient is (2·TP + s) / (2·TP + FP + FN + s) with probabilities for counts and s = 2·smooth. A class
    without a pixel in the batch's target adds 0 to the mean. One sigmoid channel measures the foreground alone.

    Args:
        num_classes: Channels K of the logits; 1 is binary with one sigmoid channel.
        ignore_index: The class id of pixels that count nowhere.
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

    def __init__(
        self,
        *,
        smooth: NotNegative = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        refuse_binary_weights("dice", self.num_classes, self.class_weights)
        self.smooth = smooth

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over classes; see :meth:`SegmentationLoss.compute`."""
        losses = overlap_losses(logits, target, valid, alpha=0.5, beta=0.5, smooth=self.smooth)
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights.to(losses.dtype)
        return (losses * weights).sum() / weights.sum()
