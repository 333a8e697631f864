"""Optimizers: torch's own, by name, with the encoder's rate and the weights without decay set apart.

One is a function or class of groups of parameters and its options by keyword, of which ``lr`` is one, as those of
``torch.optim`` are: ``"torch.optim:RAdam"`` is one. Where it has an option ``fused``, it is told whether it may be.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import Optimizer

from segup.calls import check
from segup.conform import NotNegative, Positive, Within
from segup.errors import ConfigError
from segup.models import SegmentationModel
from segup.registry import Registry

__all__ = ["create_optimizer", "list_optimizers", "optimizers", "register_optimizer"]

optimizers: Registry[Callable[..., Optimizer]] = Registry(
    "optimizer",
    "segup.training.optimizers",
    place=("params", "fused"),
    group="optimizer",
    told=(TypeError, ValueError),
)
register_optimizer = optimizers.register


def create_optimizer(config: Mapping[str, Any], model: SegmentationModel, *, fused: bool = False) -> Optimizer:
    """Build the optimizer that the group ``optimizer`` names.

    Args:
        config: ``name``, ``lr``, ``encoder_lr_factor`` (1), ``head_lr_factor`` (1), ``layer_decay`` (1),
            ``weight_decay`` (0) and the optimizer's own options.
        model: Its encoder is trained at ``lr · encoder_lr_factor``, its head, the last convolution, at
            ``lr · head_lr_factor``; biases and norms are not decayed. The encoder's last block or stage learns at its
            rate, and each before it at ``layer_decay`` times that of the next.
        fused: Use torch's one kernel for all weights, which CPUs and CUDA have.

    Raises:
        ConfigError: An unknown name or option, or a number out of its range.
    """
    rates, options = _read(config)
    decay = rates.pop("weight_decay")
    groups = [
        {"params": parameters, "lr": rate, "weight_decay": weight_decay}
        for part, rate in _parts(model, **rates)
        for parameters, weight_decay in zip(_split_by_decay(part), (decay, 0.0), strict=True)
        if parameters
    ]
    return _made(groups, options, fused)


def check_optimizer(config: Mapping[str, Any]) -> Optimizer:
    """Return what :func:`create_optimizer` builds, over two weights: its errors are known before there is a model."""
    rates, options = _read(config)
    groups = [
        {"params": [nn.Parameter(torch.zeros(shape))], "lr": rates["lr"], "weight_decay": rates["weight_decay"]}
        for shape in ((1,), (1, 1, 1, 1))
    ]
    return _made(groups, options, fused=False)


_RATES = {
    "lr": (None, Positive),
    "encoder_lr_factor": (1.0, Positive),
    "head_lr_factor": (1.0, Positive),
    "layer_decay": (1.0, Annotated[float, Within(above=0, most=1)]),
    "weight_decay": (0.0, NotNegative),
}
"""What all optimizers have: a value where none is given, and its range."""
_COMMON = 1e-3
"""A rate that is proposed in place of one that cannot be."""


def _read(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the numbers that all optimizers have, and the optimizer's name and own options."""
    options = dict(config)
    rates = {key: options.pop(key, usual) for key, (usual, _) in _RATES.items()}
    rates["layer_decay"] = 1.0 if rates["layer_decay"] is None else rates["layer_decay"]
    for key, (usual, kind) in _RATES.items():
        check(f"optimizer.{key}", kind, rates[key], _COMMON if usual is None else usual)
    return rates, {"name": None, "lr": rates["lr"], **options}


def _made(groups: list[dict[str, Any]], options: dict[str, Any], fused: bool) -> Optimizer:
    name = options.pop("name")
    optimizers.check_given(options, "optimizer")
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


Part = tuple[list[nn.Parameter], float]


def _parts(
    model: SegmentationModel, lr: float, layer_decay: float, encoder_lr_factor: float, head_lr_factor: float
) -> list[Part]:
    """Return the parameters with their rates, last those at ``lr``, which is shown and logged as the rate."""
    own, rate = list(model.encoder.parameters()), lr * encoder_lr_factor
    first: list[Part] = [(own, rate)]
    if layer_decay < 1:
        layers = [layer.parameters for layer in model.encoder.layers()]
        rates = [rate * layer_decay ** (len(layers) - 1 - place) for place in range(len(layers))]
        held = {id(one) for layer in layers for one in layer}
        first = [*zip(layers, rates, strict=True), ([one for one in own if id(one) not in held], rate)]
    last = list((model.head if model.decoder.head is None else model.decoder.head).parameters())
    rest = [p for p in (*model.neck.parameters(), *model.decoder.parameters()) if all(p is not one for one in last)]
    return [*first, ([*rest, *last], lr)] if head_lr_factor == 1 else [*first, (last, lr * head_lr_factor), (rest, lr)]


def _split_by_decay(parameters: list[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    trained = [p for p in parameters if p.requires_grad]
    return [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1]
