"""Optimizers and schedules: torch's own, by name, with the encoder's rate and the weights without decay set apart."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, PolynomialLR

from segup.errors import ConfigError
from segup.models import SegmentationModel
from segup.registry import Registry

optimizers: Registry[Any] = Registry("optimizer")
schedulers: Registry[Any] = Registry("scheduler")


@optimizers.register("adamw")
def adamw(
    groups: list[dict[str, Any]], fused: bool, *, lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Build AdamW (arXiv 1711.05101)."""
    if not isinstance(betas, list | tuple) or len(betas) != 2:
        raise ConfigError(f"optimizer.betas={betas!r} must be two numbers, such as [0.9, 0.999]")
    for beta in betas:
        _check_number("optimizer.betas", beta, below=1)
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=fused)


@optimizers.register("sgd")
def sgd(
    groups: list[dict[str, Any]], fused: bool, *, lr: float, momentum: float = 0.9, nesterov: bool = True
) -> Optimizer:
    """Build stochastic gradient descent with momentum."""
    _check_number("optimizer.momentum", momentum, below=1)
    _check_flag("optimizer.nesterov", nesterov)
    if nesterov and momentum == 0:
        raise ConfigError("optimizer.nesterov=True needs a momentum above 0: add optimizer.nesterov=false")
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)


@schedulers.register("one_cycle")
def one_cycle(
    optimizer: Optimizer, steps: int, *, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4
) -> LRScheduler:
    """Rise to the rate and fall far below it (arXiv 1708.07120); momentum stays as it is."""
    _check_number("scheduler.pct_start", pct_start, most=1)
    _check_number("scheduler.div_factor", div_factor, above=0)
    _check_number("scheduler.final_div_factor", final_div_factor, above=0)
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
def poly(optimizer: Optimizer, steps: int, *, power: float = 0.9) -> LRScheduler:
    """Fall as ``(1 - step / steps) ** power``."""
    _check_number("scheduler.power", power)
    return PolynomialLR(optimizer, total_iters=steps, power=power)


@schedulers.register("cosine")
def cosine(optimizer: Optimizer, steps: int, *, min_factor: float = 0.0) -> LRScheduler:
    """Fall along half a cosine to ``min_factor`` times the rate."""
    _check_number("scheduler.min_factor", min_factor, most=1)
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
    _check_number("optimizer.lr", lr, above=0)
    for part, factor in factors.items():
        _check_number(f"optimizer.{part}_lr_factor", factor, above=0)
    _check_number("optimizer.weight_decay", decay)
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


def _check_number(
    name: str, value: Any, *, above: float | None = None, below: float = math.inf, most: float = math.inf
) -> None:
    """Raise a ConfigError unless ``value`` is finite, 0 or more (or ``above`` a number), and keeps the upper limit."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if number and (value >= 0 if above is None else value > above) and value < below and value <= most:
        return
    least = "0 or more" if above is None else f"above {above:g}"
    upper = f" and below {below:g}" if below < math.inf else f" and at most {most:g}" if most < math.inf else ""
    raise ConfigError(f"{name}={value!r} must be a number {least}{upper}")


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} must be true or false")


def _parts(model: SegmentationModel, lr: Any, encoder: float, head: float) -> list[tuple[nn.Module, float]]:
    """Return the parts of a model with their rates, last those at ``lr``, which is shown and logged as the rate."""
    first: list[tuple[nn.Module, float]] = [(model.encoder, lr * encoder)]
    if head == 1:
        return [*first, (nn.ModuleList([model.decoder, model.head]), lr)]
    return [*first, (model.head, lr * head), (model.decoder, lr)]


def _split_by_decay(module: nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    trained = [p for p in module.parameters() if p.requires_grad]
    return [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1]
