"""A copy of a model without its weights: its structure alone, to run code on that only shapes are asked of."""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from segup.errors import ConfigError


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` whose tensors have shapes and types but no values and take no memory.

    The model itself is only read. The copy keeps every tensor's ``requires_grad`` and every training flag.

    Raises:
        ConfigError: The model has lazy layers whose sizes are not known yet, or cannot be copied.

    >>> model = nn.Conv2d(3, 8, 3)
    >>> meta_copy(model).weight.device, model.weight.device
    (device(type='meta'), device(type='cpu'))
    """
    return _copied(model, lambda tensor: torch.empty_like(tensor.detach(), device="meta"))


def full_copy(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` with its weights, also where ``copy.deepcopy`` refuses a weight that is computed.

    Raises:
        ConfigError: As :func:`meta_copy`.
    """
    return _copied(model, lambda tensor: tensor.detach().clone())


@contextmanager
def as_by_default() -> Iterator[None]:
    """Have torch run copies as it does by default: without inference mode, whose tensors count no changes, or compiler.

    >>> with torch.inference_mode(), as_by_default():
    ...     torch.is_inference_mode_enabled()
    False
    """
    compiled = "torch._dynamo" in sys.modules  # loaded by whoever compiled; it takes seconds
    with torch.inference_mode(False), torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield


@contextmanager
def preserved_buffers(model: nn.Module) -> Iterator[None]:
    """Give a model its buffers' values back: a copy whose code holds on to the model itself runs that one's layers."""
    kept = [(one, one.detach().clone()) for one in model.buffers() if not (is_lazy(one) or one.is_meta)]
    try:
        yield
    finally:
        for buffer, values in kept:
            if not torch.equal(buffer, values):
                with torch.no_grad():
                    buffer.copy_(values)


def _copied(model: nn.Module, twin: Callable[[Tensor], Tensor]) -> nn.Module:
    memo: dict[int, Any] = {}
    for tensor in tensors_of(model):
        if is_lazy(tensor):
            raise ConfigError(
                f"{type(model).__name__} has lazy layers whose shapes are not known before the first call.\n"
                f"  try: run it once on a small batch."
            )
        if id(tensor) not in memo:
            made = twin(tensor)
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(made, tensor.requires_grad) if is_parameter else made
            if made.is_floating_point() and not is_parameter:
                made.requires_grad_(tensor.requires_grad)
    try:
        return copy.deepcopy(model, memo)
    except Exception as cause:  # a model's own state may raise anything when it is copied
        raise ConfigError(
            f"{type(model).__name__} cannot be copied, so its sizes cannot be looked at without touching it: {cause}"
        ) from cause


def tensors_of(model: nn.Module) -> Iterator[Tensor]:
    """Yield every tensor of the model: parameters, buffers, and those kept as plain attributes."""
    for module in model.modules():
        yield from _tensors_in(vars(module).values())


def _tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors_in(value.values())
        elif type(value) in (list, tuple, set):
            yield from _tensors_in(value)
