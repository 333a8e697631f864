"""Convolution and pooling with their numbers: what every window reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from segup.explain.numbers import Array, Number, plain
from segup.explain.operation import Operation, Term
from segup.shapes import Conv, Pool

PADDINGS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""torch's padding_mode and numpy's name for it."""


class WindowOperation(Operation):
    """What convolution and pooling share: windows that slide over a padded image."""

    layer: Conv | Pool
    padding_mode: str = "zeros"

    def reads(self, i: int, out: int) -> list[int | None]:
        """Return what output ``out`` reads on axis ``i``, tap by tap: an input index, or None for padding."""
        axis = self.layer.axes[i]
        return [self.sources(i)[position + axis.before] for position in axis.taps(out)]

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

    def unread(self) -> tuple[list[int], list[int]]:
        """Return the rows and the columns of the input that no window reads."""
        found = []
        for i in (0, 1):
            read = {n for out in range(self.shape[i + 1]) for n in self.reads(i, out)}
            found.append([n for n in range(self.x.shape[i + 1]) if n not in read])
        return found[0], found[1]

    def counts(self) -> Array:
        """Return how many inputs each output reads."""
        rows, columns = (
            [sum(n is not None for n in self.reads(i, out)) for out in range(self.shape[i + 1])] for i in (0, 1)
        )
        return np.outer(rows, columns)

    def window(self, seen: Array, i: int, j: int) -> Array:
        """Return what tap (i, j) of all windows sees of the padded image."""
        (high, wide), (_, height, width) = self.layer.axes, self.shape
        top, left = high.dilation * i, wide.dilation * j
        bottom, right = top + high.stride * (height - 1) + 1, left + wide.stride * (width - 1) + 1
        return seen[:, top : bottom : high.stride, left : right : wide.stride]

    def _places(self, row: int, column: int) -> list[tuple[int, int, int, int]]:
        """Return (input row, its tap, input column, its tap) for all that one entry reads, in the order of the input.

        Beyond zeros one input may stand at several taps.
        """
        rows = sorted((n, i) for i, n in enumerate(self.reads(0, row)) if n is not None)
        columns = sorted((n, j) for j, n in enumerate(self.reads(1, column)) if n is not None)
        return [(n, i, m, j) for n, i in rows for m, j in columns]


@dataclass(frozen=True, eq=False)
class ConvOperation(WindowOperation):
    """A convolution of one image.

    Args:
        layer: Its parameters.
        x: ``(Ci, h, w)``.
        weight: ``(Co, Ci/groups, kh, kw)``, as torch keeps it.
        bias: ``(Co,)`` or None.
        padding_mode: As torch's Conv2d.
    """

    layer: Conv
    x: Array
    weight: Array
    bias: Array | None = None
    padding_mode: str = "zeros"
    ways: ClassVar[tuple[str, ...]] = ("convolution",)

    @cached_property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(Co, H, W)."""
        height, width = (axis.law(size) for axis, size in zip(self.layer.axes, self.x.shape[1:], strict=True))
        return self.weight.shape[0], height, width

    def group_of(self, channel: int) -> slice:
        """Return the input channels that an output channel reads."""
        inputs = self.weight.shape[1]
        group = channel // (self.weight.shape[0] // self.layer.groups)
        return slice(group * inputs, (group + 1) * inputs)

    def compute(self, way: str) -> Array:
        """Return for every window the sum of what its taps read times their weights."""
        seen, y = self.padded(), np.zeros(self.shape, dtype=self.x.dtype)
        outputs = self.weight.shape[0] // self.layer.groups
        for first in range(0, self.weight.shape[0], outputs):
            inputs, made = self.group_of(first), slice(first, first + outputs)
            for i in range(self.weight.shape[2]):
                for j in range(self.weight.shape[3]):
                    y[made] += np.tensordot(self.weight[made, :, i, j], self.window(seen[inputs], i, j), axes=(1, 0))
        return y if self.bias is None else y + self.bias[:, None, None]

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return what one window reads and with which weights; padding with zeros adds nothing and is left out."""
        inputs = self.group_of(channel)
        return [
            Term(
                (source, n, m),
                plain(self.x[source, n, m]),
                (channel, source - inputs.start, i, j),
                plain(self.weight[channel, source - inputs.start, i, j]),
            )
            for source in range(inputs.start, inputs.stop)
            for n, i, m, j in self._places(row, column)
        ]

    def parts(self) -> list[Array]:
        """Return the image and the weight."""
        return [self.x, self.weight]

    def inputs_of(self, channel: int) -> range:
        """Return the channels of the output channel's group."""
        group = self.group_of(channel)
        return range(group.start, group.stop)

    def bias_of(self, channel: int) -> Number:
        """Return the channel's bias."""
        return 0 if self.bias is None else plain(self.bias[channel])

    def by_torch(self) -> Array:
        """Return torch's own answer in float64."""
        x = torch.from_numpy(self.x.astype(np.float64))[None]
        padding: Any = self.layer.padding
        (top, bottom), (left, right) = ((axis.before, axis.after) for axis in self.layer.axes)
        if self.padding_mode != "zeros" or (top, left) != (bottom, right):
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = F.pad(x, (left, right, top, bottom), mode=mode), 0
        tensors = [None if a is None else torch.from_numpy(a.astype(np.float64)) for a in (self.weight, self.bias)]
        y = F.conv2d(
            x,
            tensors[0],  # type: ignore[arg-type]
            tensors[1],
            self.layer.stride,
            padding,
            self.layer.dilation,
            self.layer.groups,
        )
        answer: Array = y[0].numpy()
        return answer


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
    x: Array
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

    @cached_property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(C, H, W)."""
        height, width = (axis.law(size) for axis, size in zip(self.layer.axes, self.x.shape[1:], strict=True))
        return self.x.shape[0], height, width

    def compute(self, way: str) -> Array:
        """Return for every window the largest of what it reads, or their mean."""
        taps = [(i, j) for i in range(self.layer.axes[0].kernel_size) for j in range(self.layer.axes[1].kernel_size)]
        if self.mode == "max":
            seen = self.padded(-np.inf)
            largest: Array = np.stack([self.window(seen, i, j) for i, j in taps]).max(axis=0)
            return largest
        seen = self.padded()
        total: Array = np.stack([self.window(seen, i, j) for i, j in taps]).sum(axis=0)
        _, height, width = self.shape
        divisors = np.array([[self.divisor_at(r, c) for c in range(width)] for r in range(height)])
        return total / divisors

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
        values = [(n, m, plain(self.x[channel, n, m])) for n, _, m, _ in self._places(row, column)]
        if self.mode == "avg":
            share = 1 / self.divisor_at(row, column)
            return [Term((channel, n, m), value, None, share) for n, m, value in values]
        best = max(range(len(values)), key=lambda at: values[at][2], default=0)  # the first of equals, as torch's
        return [Term((channel, n, m), value, None, int(at == best)) for at, (n, m, value) in enumerate(values)]

    def value_of(self, terms: Sequence[Term], channel: int) -> Number:
        """Return the largest value, or the mean."""
        if self.mode == "max":
            return max((term.value for term in terms), default=-np.inf)
        return sum(term.product for term in terms)

    def by_torch(self) -> Array:
        """Return torch's own answer in float64."""
        layer, x = self.layer, torch.from_numpy(self.x.astype(np.float64))[None]
        if self.mode == "max":
            y = F.max_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        else:
            y = F.avg_pool2d(
                x,
                layer.kernel_size,
                layer.stride,
                layer.padding,
                layer.ceil_mode,
                self.count_include_pad,
                self.divisor_override,
            )
        answer: Array = y[0].numpy()
        return answer
