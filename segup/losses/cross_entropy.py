"""Cross-entropy, by torch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segup.conform import BelowOne, Share
from segup.losses.base import (
    SegmentationLoss,
    divide_by_total,
    label_classes,
    pixel_weights,
    register_loss,
    two_classes,
)


@register_loss("cross_entropy")
class CrossEntropy(SegmentationLoss):
    """Mean cross-entropy of the pixels that count.

    With weights it is the weighted mean, as torch's: the sum of w(class)·loss over the sum of w(class). A pixel of
    weight 0 does not count; torch counts its label smoothing, without a weight to divide by. One sigmoid channel x is
    computed as two classes with logits (0, x), which is binary cross-entropy, and takes two weights.

    ``balance`` b makes rare classes count for more without a look at the whole data set: a pixel weighs ``s ** -b``,
    where s is its class's share of the batch's pixels. With 0 all pixels weigh the same, with 1 all classes that are
    there do.

    Args:
        num_classes, ignore_index, class_weights: See :class:`segup.losses.SegmentationLoss`.
        label_smoothing: Share of the target spread over all classes, at least 0 and below 1.
        balance: Power by which the pixels of rare classes weigh more, from 0 to 1; times ``class_weights``.

    >>> import torch
    >>> loss = CrossEntropy(num_classes=1)
    >>> round(loss(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item(), 4)
    0.6931
    """

    def __init__(self, *, label_smoothing: BelowOne = 0.0, balance: Share = 0.0, **common: Any) -> None:
        super().__init__(**common)
        self.label_smoothing, self.balance = label_smoothing, balance

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted mean; see :meth:`SegmentationLoss.compute`."""
        weights = self._weights(target, valid, logits.dtype)
        # torch's own mean is NaN when all is ignored, and its reductions are not deterministic on CUDA.
        losses = F.cross_entropy(
            two_classes(logits),
            target,
            weight=weights,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        counted = pixel_weights(weights, target, valid, logits.dtype)
        # Smoothing gives a pixel of weight 0 a loss of the other classes, for which no weight stands in the total.
        return divide_by_total(losses.masked_fill(counted == 0, 0).sum(), counted)

    def _weights(self, target: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor | None:
        fixed = None if self.class_weights is None else self.class_weights.to(dtype)
        if not self.balance:
            return fixed
        found = target.masked_fill(~valid, 0).flatten()
        # Whole numbers add up to the same in any order, and nothing waits for a value as bincount does on CUDA.
        counts = found.new_zeros(label_classes(self.num_classes)).scatter_add(0, found, valid.flatten().long())
        shares = (counts / counts.sum().clamp(min=1)).to(dtype)
        balanced = torch.where(counts > 0, shares.clamp(min=torch.finfo(dtype).tiny) ** -self.balance, 0)
        return balanced if fixed is None else balanced * fixed
