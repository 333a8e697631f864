"""Losses for dense labels: one call, one contract, ignored pixels count nowhere.

>>> "ce_dice" in list_losses()
True
"""

from segup.losses.base import LOSSES, SegmentationLoss, create_loss, list_losses, register_loss
from segup.losses.weights import median_frequency_weights

__all__ = ["LOSSES", "SegmentationLoss", "create_loss", "list_losses", "median_frequency_weights", "register_loss"]
