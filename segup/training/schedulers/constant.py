"""A constant rate."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from segup.training.schedulers import register_scheduler


@register_scheduler("constant")
def constant(optimizer: Optimizer) -> LRScheduler:
    """Stay."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)
