"""AdamW."""

from typing import Any

from torch.optim import AdamW, Optimizer

from segup.conform import BelowOne, Positive
from segup.training.optimizers import register_optimizer


@register_optimizer("adamw")
def adamw(
    groups: list[dict[str, Any]], *, lr: Positive, betas: tuple[BelowOne, BelowOne] = (0.9, 0.999), fused: bool = False
) -> Optimizer:
    """Build AdamW (arXiv 1711.05101)."""
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=fused)
