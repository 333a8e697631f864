"""The one-cycle schedule."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from segup.conform import Positive, Share
from segup.training.schedulers import register_scheduler


@register_scheduler("one_cycle")
def one_cycle(
    optimizer: Optimizer,
    steps: int,
    *,
    pct_start: Share = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> LRScheduler:
    """Rise to the rate and fall far below it (arXiv 1708.07120); momentum stays as it is."""
    share = float(pct_start)  # torch refuses 0 and 1 as whole numbers
    if share * steps == 1:  # a rise over no steps, by whose length torch would divide
        share *= 1 - 1e-9
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=share,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )
