"""See what a layer does to every pixel, with your own numbers.

Every picture is computed from the operation's definition; torch's result only checks it.

>>> import torch
>>> from torch import nn
>>> from segup.explain import explain
>>> up = nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1, bias=False)
>>> _ = up.weight.data.copy_(torch.arange(1.0, 17).reshape(1, 1, 4, 4))
>>> print(explain(up, torch.ones(1, 1, 4, 4)).contributions(0, 0))
y[0,0] = x[0,0]·w[1,1] = 1·6 = 6
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segup.explain.explanation import Explanation, explain
    from segup.explain.operation import Entry, Term

__all__ = ["Entry", "Explanation", "Term", "explain"]

_HOMES = {"explanation": ("Explanation", "explain"), "operation": ("Entry", "Term")}


def __getattr__(name: str) -> Any:
    """Load torch and the engine when something is first asked for."""
    for module, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(f"segup.explain.{module}"), name)
            return globals()[name]
    raise AttributeError(f"module 'segup.explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
