"""Training or evaluation, module by module."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn


def modes_of(model: nn.Module) -> dict[str, bool]:
    """Return by name whether each module is in training mode."""
    return {name: module.training for name, module in model.named_modules()}


def set_modes(model: nn.Module, modes: Mapping[str, bool]) -> None:
    """Put each module of ``model`` into the mode that ``modes`` has for its name.

    ``train`` is called where the mode changes: torchvision's feature extractors exchange their graphs there, and come
    out of ``copy.deepcopy`` in training mode.

    >>> model = nn.Sequential(nn.BatchNorm2d(3).eval(), nn.ReLU())
    >>> modes = modes_of(model)
    >>> set_modes(model.eval(), modes)
    >>> [module.training for module in model.modules()]
    [True, False, True]
    """
    for name, module in model.named_modules():
        mode = modes.get(name, module.training)
        if module.training != mode:
            module.train(mode)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Have a model in evaluation mode within, and each module in its own mode again afterwards."""
    modes = modes_of(model)
    model.eval()
    try:
        yield
    finally:
        set_modes(model, modes)
