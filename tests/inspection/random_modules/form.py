"""What a form is: one use of sizes, drawn at random and made into a module, with the sizes at which it changes."""

import operator
import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 4
"""Channels of the maps that every form takes and gives."""


class Form(nn.Module):
    """Maps (N, 4, H, W) to (N, 4, h, w).

    Args:
        function: The forward, given this module and the map.
        thresholds: Sizes of its map around which something changes.
        honest: Whether it uses sizes in torch calls and in arithmetic alone, so that a calculus can follow it.
        varies: Whether two runs on one size may differ.
        reads_values: Whether it reads a value of a tensor that the model holds.
        by_values: Whether torch refuses by values of an index, which shapes do not tell.
        quadratic: Whether its memory grows with the square of the pixels.
        layers: What the forward uses.
    """

    def __init__(self, function: Callable[[Any, Tensor], Tensor], *, thresholds: tuple[int, ...] = (),
                 honest: bool = False, varies: bool = False, reads_values: bool = False, by_values: bool = False,
                 quadratic: bool = False, **layers: Any) -> None:  # fmt: skip
        super().__init__()
        self.function, self.thresholds, self.honest = function, thresholds, honest
        self.varies, self.reads_values, self.by_values, self.quadratic = varies, reads_values, by_values, quadratic
        self.form = ""
        for name, layer in layers.items():
            if isinstance(layer, Tensor):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class Draw(random.Random):
    """The random choices of one form: a threshold ``t``, an ``axis`` (2 or 3) and a comparison ``op``."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.t = self.pick(
            lambda: self.randint(2, 40),
            lambda: self.randint(41, 130),
            lambda: self.pick(64, 96, 128, 224, 256, 512),
            lambda: self.randint(131, 1000),
        )()
        self.axis = self.pick(2, 3)
        self.op = self.pick(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)

    def pick(self, *options: Any) -> Any:
        return self.choice(options)

    def large(self) -> int:
        """Return the threshold, above 64 from here on: a square of 64 pixels is accepted."""
        self.t += 64 if self.t <= 64 else 0
        return self.t

    def reading(self) -> Callable[[Tensor], int]:
        """Return a way to ask a map for its size on the axis."""
        axis = self.axis
        return self.pick(
            lambda x: x.shape[axis],
            lambda x: x.shape[axis - 4],
            lambda x: x.size(axis),
            lambda x: x.size()[axis],
            lambda x: list(x.shape)[axis],
            lambda x: tuple(x.shape[-2:])[axis - 2],
        )

    def change(self) -> Callable[[Tensor], Tensor]:
        """Return a call that gives the map another size on the axis."""
        axis = self.axis
        front = (0, 0, 1, 0) if axis == 2 else (1, 0)
        return self.pick(
            lambda x: x.narrow(axis, 1, x.shape[axis] - 1),
            lambda x: x[:, :, 1:] if axis == 2 else x[..., 1:],
            lambda x: x[:, :, :-1] if axis == 2 else x[..., :-1],
            lambda x: F.pad(x, front),
            lambda x: x.repeat_interleave(2, axis),
        )

    def row(self, length: int) -> tuple[int, int, int, int]:
        """Return the shape of a map of one channel and one row or column of this length."""
        return (1, 1, length, 1) if self.axis == 2 else (1, 1, 1, length)


FORMS: dict[str, Callable[[Draw], Form]] = {}
"""The forms by name; every module of the table is made by :func:`make`."""


def form(factory: Callable[[Draw], Form]) -> Callable[[Draw], Form]:
    """Enter a factory of forms in the table under its name."""
    FORMS[factory.__name__] = factory
    return factory


def condition(factory: Callable[[Draw], Callable[[Any, Tensor], Any]]) -> Callable[..., Any]:
    """Enter a condition on a size and its map: where it holds, the form gives its map another size."""

    def build(draw: Draw) -> Form:
        holds, read, change = factory(draw), draw.reading(), draw.change()
        return Form(lambda m, x: change(x) if holds(read(x), x) else x, thresholds=(draw.t,))

    FORMS[factory.__name__] = build
    return factory


def make(name: str, seed: str) -> Form:
    """Return a form of the table, drawn with a seed."""
    made = FORMS[name](Draw(f"{name} {seed}"))
    made.form = name
    return made


def honest(function, **options) -> Form:
    return Form(function, honest=True, **options)


def growing(d: Draw):
    """Return a row or column of 1 + n // t values: it broadcasts below t alone."""
    t, axis, row = d.large(), d.axis, d.row
    return d.pick(
        lambda x: x.new_zeros(row(1 + x.shape[axis] // t)),
        lambda x: torch.zeros(row(1 + x.size(axis) // t)),
        lambda x: torch.ones(row(x.shape[axis] // t + 1)) - 1,
        lambda x: x[:, :1, : 1 + x.shape[2] // t, :1] * 0 if axis == 2 else x[:, :1, :1, : 1 + x.shape[3] // t] * 0,
    )


def changing(d: Draw, function: Callable[[Any, Tensor], Tensor], **options: Any) -> Form:
    """Return a form that changes at the threshold that was drawn."""
    return Form(function, thresholds=(d.t,), **options)
