"""Optimizers: torch's own, by name, with the encoder's rate and the weights without decay set apart.

One is a function or class of groups of parameters and its options by keyword, of which ``lr`` is one, as those of
``torch.optim`` are: ``"torch.optim:RAdam"`` is one. Where it has an option ``fused``, it is told whether it may be.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from segup.calls import check
from segup.conform import NotNegative, Positive
from segup.errors import ConfigError
from segup.models import SegmentationModel
from segup.registry import Registry

optimizers: Registry[Callable[..., Optimizer]] = Registry("optimizer", "segup.training.optimizers", group="optimizer")
register_optimizer = optimizers.register


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
    if "fused" in inspect.signature(optimizers.get(name)).parameters:
        options["fused"] = fused
    optimizer: Optimizer = optimizers.create(name, groups, **options)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer '{name}' makes a {type(optimizer).__name__}, not a torch.optim.Optimizer")
    return optimizer


def list_optimizers() -> list[str]:
    """Return the names that :func:`create_optimizer` knows, sorted.

    >>> "adamw" in list_optimizers()
    True
    """
    return optimizers.names()


def _parts(model: SegmentationModel, lr: Any, encoder: float, head: float) -> list[tuple[nn.Module, float]]:
    """Return the parts of a model with their rates, last those at ``lr``, which is shown and logged as the rate."""
    first: list[tuple[nn.Module, float]] = [(model.encoder, lr * encoder)]
    if head == 1:
        return [*first, (nn.ModuleList([model.decoder, model.head]), lr)]
    return [*first, (model.head, lr * head), (model.decoder, lr)]


def _split_by_decay(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    trained = [p for p in module.parameters() if p.requires_grad]
    return [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1]
