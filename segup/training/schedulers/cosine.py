"""Cosine decay."""

from math import cos, pi
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from segup.conform import Share
from segup.training.schedulers import register_scheduler


@register_scheduler("cosine")
class Cosine(LRScheduler):
    """Fall along half a cosine to ``min_factor`` times the rate, each group's own.

    torch's CosineAnnealingLR ends all groups at one number; its state, of checkpoints of before, can be taken over.
    """

    def __init__(self, optimizer: Optimizer, steps: int, *, min_factor: Share = 0.0) -> None:
        self.T_max, self.min_factor = steps, min_factor  # as torch's own calls its steps in a checkpoint
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """Return the rates of all groups."""
        fallen = (1 - cos(pi * self.last_epoch / self.T_max)) / 2
        return [rate * (1 - fallen * (1 - self.min_factor)) for rate in self.base_lrs]
