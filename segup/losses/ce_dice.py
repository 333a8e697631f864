"""Cross-entropy plus Dice: every pixel right, and every class found whatever its size."""

from typing import Any

from torch import Tensor

from segup.conform import BelowOne, NotNegative, Share
from segup.errors import ConfigError
from segup.losses.base import SegmentationLoss, register_loss
from segup.losses.cross_entropy import CrossEntropy
from segup.losses.dice import Dice


@register_loss("ce_dice")
class CrossEntropyDice(SegmentationLoss):
    """``ce_weight`` times cross-entropy plus ``dice_weight`` times Dice.

    Args:
        num_classes, ignore_index: See :class:`segup.losses.SegmentationLoss`.
        class_weights: One number per label class for the cross-entropy, or None. The Dice part has no weights: it
            already counts every class the same, whatever its size.
        ce_weight: Factor of the cross-entropy, at least 0.
        dice_weight: Factor of the Dice loss, at least 0.
        label_smoothing, balance: Of the cross-entropy, see :class:`segup.losses.cross_entropy.CrossEntropy`; their
            defaults and that of ``dice_weight`` were measured together, see ``docs/recipe.md``.
        smooth: Of the Dice loss, at least 0.

    Raises:
        ConfigError: If a number is out of range, or both factors are 0.

    >>> import torch
    >>> loss = CrossEntropyDice(num_classes=1, ce_weight=0.0)
    >>> round(loss(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [1, 255]]])).item(), 4)
    0.8571
    """

    def __init__(
        self,
        *,
        ce_weight: NotNegative = 1.0,
        dice_weight: NotNegative = 2.0,
        label_smoothing: BelowOne = 0.0,
        balance: Share = 0.25,
        smooth: NotNegative = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if ce_weight == dice_weight == 0:
            raise ConfigError("ce_weight=0 and dice_weight=0: one must be above 0, or there is no loss")
        self.ce_weight, self.dice_weight = ce_weight, dice_weight
        self.cross_entropy = CrossEntropy(label_smoothing=label_smoothing, balance=balance, **common)
        self.dice = Dice(smooth=smooth, **{**common, "class_weights": None})

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted sum; see :meth:`SegmentationLoss.compute`."""
        cross_entropy = self.cross_entropy.compute(logits, target, valid)
        return self.ce_weight * cross_entropy + self.dice_weight * self.dice.compute(logits, target, valid)
