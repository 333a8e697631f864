"""Stochastic gradient descent."""

from typing import Any

from torch.optim import SGD, Optimizer

from segup.conform import BelowOne, Positive
from segup.errors import ConfigError
from segup.training.optimizers import register_optimizer


@register_optimizer("sgd")
def sgd(
    groups: list[dict[str, Any]], *, lr: Positive, momentum: BelowOne = 0.9, nesterov: bool = True, fused: bool = False
) -> Optimizer:
    """Build stochastic gradient descent with momentum."""
    if nesterov and momentum == 0:
        raise ConfigError("optimizer.nesterov=True needs a momentum above 0: add optimizer.nesterov=false")
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)
