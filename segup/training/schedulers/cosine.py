"""Cosine decay."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from segup.conform import Share
from segup.training.schedulers import register_scheduler


@register_scheduler("cosine")
def cosine(optimizer: Optimizer, steps: int, *, min_factor: Share = 0.0) -> LRScheduler:
    """Fall along half a cosine to ``min_factor`` times the rate."""
    least = min_factor * optimizer.param_groups[-1]["lr"]
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=least)
