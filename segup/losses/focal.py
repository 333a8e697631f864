"""Focal loss: cross-entropy that counts well-classified pixels less."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segup.conform import NotNegative
from segup.losses.base import SegmentationLoss, pixel_weights, register_loss, two_classes, weighted_mean


@register_loss("focal")
class Focal(SegmentationLoss):
    """Mean of (1 - p)^gamma · (-log p) over the pixels that count, p the probability of the true class.

    Several classes share one softmax; one sigmoid channel gives what ``torchvision.ops.sigmoid_focal_loss`` gives
    with alpha = -1. The paper's alpha is ``class_weights=[1 - alpha, alpha]``, here as a weighted mean, so that
    ``gamma=0`` is cross-entropy, with weights too.

    Args:
        num_classes, ignore_index, class_weights: See :class:`segup.losses.SegmentationLoss`.
        gamma: Exponent, at least 0; the larger, the less the easy pixels count.

    Source: Lin et al., arXiv 1708.02002, equation 5.

    >>> loss = Focal(num_classes=2, gamma=2.0)
    >>> round(loss(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]])).item(), 4)  # log 2 / 4
    0.1733
    """

    def __init__(self, *, gamma: NotNegative = 2.0, **common: Any) -> None:
        super().__init__(**common)
        self.gamma = gamma

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted mean; see :meth:`SegmentationLoss.compute`."""
        losses = F.cross_entropy(two_classes(logits), target, ignore_index=self.ignore_index, reduction="none")
        # The clamp keeps the gradient of the power finite for gamma < 1 where p rounds to 1.
        miss = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).tiny)
        weights = pixel_weights(self.class_weights, target, valid, logits.dtype)
        return weighted_mean(miss.pow(self.gamma) * losses, weights)
