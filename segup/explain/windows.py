"""Convolution and pooling with their numbers: what every window reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from segup.explain.numbers import Array, Number
from segup.explain.operation import Operation, Term, WeightedOperation
from segup.shapes import Conv, Pool
from segup.shapes.arguments import split

PADDINGS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""torch's padding_mode and numpy's name for it."""


class WindowOperation(Operation):
    """What convolution and pooling share: windows that slide over a padded image."""

    layer: Conv | Pool
    padding_mode: str = "zeros"

    def reads(self, i: int, out: int) -> list[tuple[int, int]]:
        """Return the inputs that output ``out`` reads on axis ``i``, each with its tap; padding with zeros is left out.

        Beyond zeros one input may stand at several taps.
        """
        axis, sources = self.layer.axes[i], self.sources(i)
        read = [(sources[position + axis.before], tap) for tap, position in enumerate(axis.taps(out))]
        return sorted((n, tap) for n, tap in read if n is not None)

    def sources(self, i: int) -> list[int | None]:
        """Return the input index that stands at each padded position of axis ``i``, or None for padding."""
        return self._sources[i]

    @cached_property
    def _sources(self) -> list[list[int | None]]:
        found: list[list[int | None]] = []
        for i, axis in enumerate(self.layer.axes):
            indices, around = np.arange(self.x.shape[i + 1]), (axis.before, axis.after + self.overhang(i))
            if self.padding_mode == "zeros":
                held = np.pad(indices, around, constant_values=-1)
            else:
                held = np.pad(indices, around, mode=PADDINGS[self.padding_mode])  # type: ignore[call-overload]
            found.append([None if n < 0 else int(n) for n in held])
        return found

    @property
    def is_padded(self) -> bool:
        """Whether there is padding on any side."""
        return any(axis.before or axis.after for axis in self.layer.axes)

    def overhang(self, i: int) -> int:
        """Return how many positions ceil_mode's last window has beyond the padded image on axis ``i``."""
        axis = self.layer.axes[i]
        last = (self.shape[i + 1] - 1) * axis.stride + axis.extent
        return max(0, last - self.x.shape[i + 1] - axis.before - axis.after)

    def padded(self, filling: float = 0) -> Array:
        """Return the image with its padding, ``filling`` where that holds no input."""
        rows, columns = ([-1 if n is None else n for n in self.sources(i)] for i in (0, 1))
        seen = self.x[:, rows][:, :, columns]
        seen[:, [n < 0 for n in rows]] = filling
        seen[:, :, [n < 0 for n in columns]] = filling
        return seen

    def window(self, seen: Array, i: int, j: int) -> Array:
        """Return what tap (i, j) of all windows sees of the padded image."""
        (high, wide), (_, height, width) = self.layer.axes, self.shape
        top, left = high.dilation * i, wide.dilation * j
        bottom, right = top + high.stride * (height - 1) + 1, left + wide.stride * (width - 1) + 1
        return seen[:, top : bottom : high.stride, left : right : wide.stride]


@dataclass(frozen=True, eq=False)
class ConvOperation(WindowOperation, WeightedOperation):
    """A convolution of one image.

    Args:
        layer: Its parameters.
        x: ``(Ci, h, w)``.
        weight: ``(Co, Ci/groups, kh, kw)``, as torch keeps it.
        bias: ``(Co,)`` or None.
        padding_mode: As torch's Conv2d.
    """

    layer: Conv
    padding_mode: str = "zeros"
    ways: ClassVar[tuple[str, ...]] = ("convolution",)

    @property
    def channels(self) -> int:
        """Co."""
        return self.weight.shape[0]

    def compute(self, way: str) -> Array:
        """Return for every window the sum of what its taps read times their weights."""
        seen, y = self.padded(), np.zeros(self.shape, dtype=self.x.dtype)
        for inputs, outputs in self.groups():
            for i, j in np.ndindex(self.weight.shape[2:]):
                y[outputs] += np.tensordot(self.weight[outputs, :, i, j], self.window(seen[inputs], i, j), axes=(1, 0))
        return self.with_bias(y)

    def pair(self, source: int, channel: int) -> tuple[int, int]:
        """Return the output channel, and the input channel's place in its group."""
        return channel, source - self.inputs_of(channel).start

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer."""
        high, wide = self.layer.axes
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        seen = F.pad(x, (wide.before, wide.after, high.before, high.after), mode=mode)
        return F.conv2d(seen, *self.tensors(), self.layer.stride, 0, self.layer.dilation, self.layer.groups)


@dataclass(frozen=True, eq=False)
class PoolOperation(WindowOperation):
    """A pooling of one image.

    Args:
        layer: Its parameters.
        x: ``(C, h, w)``.
        mode: "max" or "avg".
        count_include_pad: Of an average, as torch: whether padding counts as zeros that were read.
        divisor_override: Of an average, as torch.
    """

    layer: Pool
    mode: str = "max"
    count_include_pad: bool = True
    divisor_override: int | None = None
    ways: ClassVar[tuple[str, ...]] = ("pooling",)

    @property
    def words(self) -> str:
        """The layer in the layer language, an average marked."""
        return f"{self.layer} avg" if self.mode == "avg" else str(self.layer)

    @property
    def fractional(self) -> bool:  # type: ignore[override]
        """Whether it is a mean."""
        return self.mode == "avg"

    @property
    def rule(self) -> str:  # type: ignore[override]
        """How a window becomes one value."""
        return "max" if self.mode == "max" else "mean"

    def compute(self, way: str) -> Array:
        """Return for every window the largest of what it reads, or their mean."""
        seen = self.padded(-np.inf if self.mode == "max" else 0)
        windows = np.stack([self.window(seen, i, j) for i, j in np.ndindex(split(self.layer.kernel_size))])
        if self.mode == "max":
            return windows.max(axis=0)
        _, height, width = self.shape
        divisors = np.array([[self.divisor_at(r, c) for c in range(width)] for r in range(height)])
        return windows.sum(axis=0) / divisors

    def divisor_at(self, row: int, column: int) -> int:
        """Return by what the sum of a window is divided: torch's rule for padding and for an overhanging window."""
        if self.mode == "max":
            return 1
        if self.divisor_override is not None:
            return self.divisor_override
        sides = []
        for i, out in enumerate((row, column)):
            axis, size = self.layer.axes[i], self.x.shape[i + 1]
            start = out * axis.stride - axis.before
            end = min(start + axis.kernel_size, size + axis.after)
            sides.append(end - start if self.count_include_pad else min(end, size) - max(start, 0))
        return sides[0] * sides[1]

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return what one window reads; of a maximum, each with weight 1 where it is the value, else 0."""
        found, share = super().terms(channel, row, column), 1 / self.divisor_at(row, column)
        if self.mode == "avg":
            return [replace(term, weight=share) for term in found]
        best = max(found, key=lambda term: term.value, default=None)  # the first of equals, as torch's
        return [replace(term, weight=int(term is best)) for term in found]

    def value_of(self, terms: Sequence[Term], channel: int) -> Number:
        """Return the largest value, or the mean."""
        largest = max((term.value for term in terms), default=-np.inf)
        return largest if self.mode == "max" else super().value_of(terms, channel)

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer."""
        layer, window = self.layer, (self.layer.kernel_size, self.layer.stride, self.layer.padding)
        if self.mode == "max":
            return F.max_pool2d(x, *window, layer.dilation, layer.ceil_mode)
        return F.avg_pool2d(x, *window, layer.ceil_mode, self.count_include_pad, self.divisor_override)
