"""Optimizers and schedules: torch's own, by name, with the encoder's rate and the weights without decay set apart."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, PolynomialLR

from segup.calls import check
from segup.conform import NotNegative, Positive, Share, Within
from segup.errors import ConfigError
from segup.models import SegmentationModel
from segup.registry import Registry

Momentum = Annotated[float, Within(0, below=1)]
optimizers: Registry[Any] = Registry("optimizer", group="optimizer")
schedulers: Registry[Any] = Registry("scheduler", group="scheduler")


@optimizers.register("adamw")
def adamw(
    groups: list[dict[str, Any]], fused: bool, *, lr: Positive, betas: tuple[Momentum, Momentum] = (0.9, 0.999)
) -> Optimizer:
    """Build AdamW (arXiv 1711.05101)."""
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=fused)


@optimizers.register("sgd")
def sgd(
    groups: list[dict[str, Any]], fused: bool, *, lr: Positive, momentum: Momentum = 0.9, nesterov: bool = True
) -> Optimizer:
    """Build stochastic gradient descent with momentum."""
    if nesterov and momentum == 0:
        raise ConfigError("optimizer.nesterov=True needs a momentum above 0: add optimizer.nesterov=false")
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)


@schedulers.register("one_cycle")
def one_cycle(
    optimizer: Optimizer,
    steps: int,
    *,
    pct_start: Share = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> LRScheduler:
    """Rise to the rate and fall far below it (arXiv 1708.07120); momentum stays as it is."""
    if pct_start * steps == 1:  # a rise over no steps, by whose length torch would divide
        pct_start *= 1 - 1e-9
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )


@schedulers.register("poly")
def poly(optimizer: Optimizer, steps: int, *, power: NotNegative = 0.9) -> LRScheduler:
    """Fall as ``(1 - step / steps) ** power``."""
    return PolynomialLR(optimizer, total_iters=steps, power=power)


@schedulers.register("cosine")
def cosine(optimizer: Optimizer, steps: int, *, min_factor: Share = 0.0) -> LRScheduler:
    """Fall along half a cosine to ``min_factor`` times the rate."""
    least = min_factor * optimizer.param_groups[-1]["lr"]
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=least)


@schedulers.register("constant")
def constant(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Stay."""
    return ConstantLR(optimizer, factor=1.0, total_iters=steps)


def create_optimizer(config: Mapping[str, Any], model: SegmentationModel, *, fused: bool = False) -> Optimizer:
    """Build the optimizer that the group ``optimizer`` names.

    Args:
        config: ``name``, ``lr``, ``encoder_lr_factor`` (1), ``head_lr_factor`` (1), ``weight_decay`` (0) and the
            optimizer's own options.
        model: Its encoder is trained at ``lr · encoder_lr_factor``, its head, the last convolution, at
            ``lr · head_lr_factor``; biases and norms are not decayed.
        fused: Use torch's one kernel for all weights, which CPUs and CUDA have.

    Raises:
        ConfigError: An unknown name or option, or a number out of its range.
    """
    options = dict(config)
    name, lr = options.pop("name", None), options.get("lr")
    factors = {part: options.pop(f"{part}_lr_factor", 1.0) for part in ("encoder", "head")}
    decay = options.pop("weight_decay", 0.0)
    check("optimizer.lr", Positive, lr)
    for part, factor in factors.items():
        check(f"optimizer.{part}_lr_factor", Positive, factor)
    check("optimizer.weight_decay", NotNegative, decay)
    groups = [
        {"params": parameters, "lr": rate, "weight_decay": weight_decay}
        for module, rate in _parts(model, lr, **factors)
        for parameters, weight_decay in zip(_split_by_decay(module), (decay, 0.0), strict=True)
        if parameters
    ]
    optimizer: Optimizer = optimizers.create(name, groups, fused, **options)
    return optimizer


def create_scheduler(config: Mapping[str, Any], optimizer: Optimizer, steps: int) -> LRScheduler:
    """Build the schedule that the group ``scheduler`` names, over ``steps`` optimizer steps.

    Raises:
        ConfigError: An unknown name or option, or a number out of its range.
    """
    options = dict(config)
    scheduler: LRScheduler = schedulers.create(options.pop("name", None), optimizer, steps, **options)
    return scheduler


def _parts(model: SegmentationModel, lr: Any, encoder: float, head: float) -> list[tuple[nn.Module, float]]:
    """Return the parts of a model with their rates, last those at ``lr``, which is shown and logged as the rate."""
    first: list[tuple[nn.Module, float]] = [(model.encoder, lr * encoder)]
    if head == 1:
        return [*first, (nn.ModuleList([model.decoder, model.head]), lr)]
    return [*first, (model.head, lr * head), (model.decoder, lr)]


def _split_by_decay(module: nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    trained = [p for p in module.parameters() if p.requires_grad]
    return [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1]
