"""Lovász losses: the Jaccard loss itself, extended from sets to predictions."""

from typing import Any

import torch
from torch import Tensor

from segup.losses.base import SegmentationLoss, refuse_binary_weights, register_loss, weighted_mean


@register_loss("lovasz")
class Lovasz(SegmentationLoss):
    """Lovász-softmax over the classes present in the target; for one sigmoid channel, the Lovász hinge.

    Each step sorts all pixels once per class.

    Args:
        num_classes, ignore_index: See :class:`segup.losses.SegmentationLoss`.
        class_weights: One number per class for a weighted mean over the classes present, or None; None when
            ``num_classes=1``.
        per_image: Whether to average the losses of single images; one loss of the whole batch otherwise.

    Raises:
        ConfigError: If ``num_classes=1`` is given weights.

    Source: Berman et al., arXiv 1705.08790.

    >>> loss = Lovasz(num_classes=1)
    >>> loss(torch.tensor([3.0, -3.0, 0.5]).reshape(1, 1, 1, 3), torch.tensor([[[1, 0, 1]]])).item()  # hinge 1/2, half
    0.25
    """

    def __init__(self, *, per_image: bool = False, **common: Any) -> None:
        super().__init__(**common)
        refuse_binary_weights("lovasz", self.num_classes, self.class_weights)
        self.per_image = per_image

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of the batch, or the mean over images; see :meth:`SegmentationLoss.compute`."""
        if not self.per_image:
            return self._one(logits, target, valid)
        images = zip(logits.split(1), target.split(1), valid.split(1), strict=True)
        return torch.stack([self._one(*image) for image in images]).mean()

    def _one(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        scores = logits.movedim(1, 0).flatten(1)  # (K, P)
        counted = valid.flatten()
        classes = torch.arange(self.num_classes, device=target.device).unsqueeze(1)
        if self.num_classes == 1:
            truth = (target.flatten() == 1).unsqueeze(0)
            errors = (1 - torch.where(truth, scores, -scores)).relu()
            return lovasz_extension(errors, truth, counted).sum()
        truth = target.flatten() == classes
        truth &= counted  # ignore_index may be the id of a class
        losses = lovasz_extension((truth.to(scores.dtype) - scores.softmax(dim=0)).abs(), truth, counted)
        weights = truth.any(dim=1).to(losses.dtype)
        if self.class_weights is not None:
            weights = weights * self.class_weights.to(losses.dtype)
        return weighted_mean(losses, weights)


def lovasz_extension(errors: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """Return the Lovász extension of the Jaccard loss of each row.

    Errors in falling order each weigh what their pixel adds to the Jaccard loss: 1 / (G + b) for a pixel of the
    class and (G - g) / ((G + b)(G + b - 1)) for another, where G is the size of the class and g and b count the
    pixels of the class and the others so far. Without a pixel of the class, only the largest error counts, in full.

    Args:
        errors: ``(K, P)``, at least 0.
        truth: ``(K, P)``, bool, the pixels of the class.
        counted: ``(P,)``, bool; other pixels add nothing, wherever they are sorted.

    Returns:
        ``(K,)``.

    >>> lovasz_extension(torch.ones(1, 3), torch.tensor([[True, False, True]]), torch.ones(3, dtype=torch.bool))
    tensor([1.])
    """
    inside = truth & counted
    ordered, order = errors.masked_fill(~counted, 0).sort(dim=1, descending=True)
    inside = inside.gather(1, order)
    outside = counted[order] & ~inside
    size = inside.sum(dim=1, keepdim=True)
    # Integers are exact where a float32 cumulative sum stops counting at 2^24, and fit the float division below.
    hits = inside.cumsum(dim=1)
    union = size + outside.cumsum(dim=1)
    one = torch.ones((), dtype=errors.dtype, device=errors.device)
    gain_inside = one / union.clamp_min(1)
    gain_outside = (size - hits) * gain_inside / (union - 1).clamp_min(1)
    gain_outside = torch.where(size == 0, union == 1, gain_outside)
    gain = torch.where(inside, gain_inside, torch.where(outside, gain_outside, 0))
    return (ordered * gain).sum(dim=1)
