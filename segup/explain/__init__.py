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

from typing import TYPE_CHECKING

from segup.imports import lazily

if TYPE_CHECKING:
    from segup.explain.explanation import Explanation, explain
    from segup.explain.operation import Entry, Term

__all__ = ["Entry", "Explanation", "Term", "explain"]

_HOMES = {"explanation": ("Explanation", "explain"), "operation": ("Entry", "Term")}

# torch and the engine are loaded when something is first asked for.
__getattr__, __dir__ = lazily(__name__, _HOMES)
