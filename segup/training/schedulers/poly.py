"""Polynomial decay."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, PolynomialLR

from segup.conform import NotNegative
from segup.training.schedulers import register_scheduler


@register_scheduler("poly")
def poly(optimizer: Optimizer, steps: int, *, power: NotNegative = 0.9) -> LRScheduler:
    """Fall as ``(1 - step / steps) ** power``."""
    return PolynomialLR(optimizer, total_iters=steps, power=power)
