"""The transposed convolution with its numbers, computed four ways that share no step."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from segup.explain.amount import check_numbers
from segup.explain.numbers import Array, Number, plain
from segup.explain.operation import Operation, Term
from segup.shapes import ConvTranspose
from segup.shapes.transposed import StampAxis


@dataclass(frozen=True)
class Phase:
    """The outputs at one position modulo the stride, on one axis: a small convolution of the input itself.

    Args:
        residue: The position, counted before the padding cuts: q = stride·m + residue.
        taps: The kernel's taps that fall there, first to last.
        reads: For each tap the input index that m = 0 reads with it; m reads ``reads + m``.
    """

    residue: int
    taps: tuple[int, ...]
    reads: tuple[int, ...]


def phases(axis: StampAxis) -> list[Phase]:
    """Return the phases of one axis: tap j falls on q = stride·n + dilation·j, so to residue dilation·j mod stride.

    >>> [phase.taps for phase in phases(ConvTranspose(4, 2, 1).axes[0])]
    [(0, 2), (1, 3)]
    >>> [phase.taps for phase in phases(ConvTranspose(3, 2, 1, dilation=2).axes[0])]
    [(0, 1, 2), ()]
    """
    check_numbers("the phases", (axis.stride, axis.kernel_size))
    found = []
    for residue in range(axis.stride):
        taps = tuple(j for j in range(axis.kernel_size) if axis.dilation * j % axis.stride == residue)
        found.append(Phase(residue, taps, tuple(-((axis.dilation * j - residue) // axis.stride) for j in taps)))
    return found


@dataclass(frozen=True, eq=False)
class DeconvOperation(Operation):
    """A transposed convolution of one image.

    Args:
        layer: Its parameters; output_padding is the one in use, also where an output size was asked for.
        x: ``(Ci, h, w)``.
        weight: ``(Ci, Co/groups, kh, kw)``, as torch keeps it.
        bias: ``(Co,)`` or None.
    """

    layer: ConvTranspose
    x: Array
    weight: Array
    bias: Array | None = None
    ways: ClassVar[tuple[str, ...]] = ("scatter", "zero_insertion", "gradient", "subpixel")

    @cached_property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(Co, H, W)."""
        height, width = (axis.law(size) for axis, size in zip(self.layer.axes, self.x.shape[1:], strict=True))
        return self.weight.shape[1] * self.layer.groups, height, width

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns before the cut: those that stamps reach, or those that output_padding asks for beyond."""
        sizes = zip(self.layer.axes, self.x.shape[1:], self.shape[1:], strict=True)
        rows, columns = (max((n - 1) * axis.stride + axis.extent, axis.padding + o) for axis, n, o in sizes)
        return rows, columns

    def groups(self) -> Iterator[tuple[slice, slice]]:
        """Yield the input and the output channels of each group."""
        inputs, outputs = self.x.shape[0] // self.layer.groups, self.weight.shape[1]
        for group in range(self.layer.groups):
            yield (
                slice(group * inputs, (group + 1) * inputs),
                slice(group * outputs, (group + 1) * outputs),
            )

    def compute(self, way: str) -> Array:
        """Return the output, computed the way of one view."""
        ways = {
            "scatter": self.scattered,
            "zero_insertion": self.zero_inserted,
            "gradient": self.walked_back,
            "subpixel": self.in_phases,
        }
        return self._with_bias(ways[way]())

    def _with_bias(self, y: Array) -> Array:
        return y if self.bias is None else y + self.bias[:, None, None]

    def _zeros(self, *shape: int) -> Array:
        return np.zeros(shape, dtype=self.x.dtype)

    # Scatter ---------------------------------------------------------------------------------------------------------

    def stamp(self, row: int, column: int) -> Array:
        """Return what the input column at one position stamps: ``(Co, kh, kw)``, value × kernel, channels summed."""
        parts = [
            np.tensordot(self.x[inputs, row, column], self.weight[inputs], axes=(0, 0)) for inputs, _ in self.groups()
        ]
        return np.concatenate(parts)

    def scattered(self) -> Array:
        """Stamp value × kernel for every input, a row of stamps at a time, add the overlaps, then cut the padding."""
        canvas = self._zeros(self.shape[0], *self.canvas)
        high, wide = self.layer.axes
        for row in range(self.x.shape[1]):
            rows = slice(high.stride * row, high.stride * row + high.extent, high.dilation)
            for inputs, outputs in self.groups():
                stamps = np.tensordot(self.weight[inputs], self.x[inputs, row], axes=(0, 0))  # (Co/g, kh, kw, w)
                for tap in range(wide.kernel_size):  # the stamps of a row meet one another at different taps alone
                    left = wide.dilation * tap
                    right = left + wide.stride * (self.x.shape[2] - 1) + 1
                    canvas[outputs, rows, left : right : wide.stride] += stamps[:, :, tap]
        return canvas[:, high.padding :, wide.padding :][:, : self.shape[1], : self.shape[2]]

    # Zero insertion --------------------------------------------------------------------------------------------------

    def inserted(self) -> Array:
        """Return the input with stride − 1 zeros between neighbours."""
        sizes = [(n - 1) * axis.stride + 1 for axis, n in zip(self.layer.axes, self.x.shape[1:], strict=True)]
        spread = self._zeros(self.x.shape[0], *sizes)
        spread[:, :: self.layer.axes[0].stride, :: self.layer.axes[1].stride] = self.x
        return spread

    @property
    def pads(self) -> list[tuple[int, int]]:
        """Zeros before and after on each axis: d·(k − 1) − p, and output_padding more after. Negative ones cut."""
        before = [axis.extent - 1 - axis.padding for axis in self.layer.axes]
        return [(pad, pad + axis.output_padding) for pad, axis in zip(before, self.layer.axes, strict=True)]

    def padded(self) -> Array:
        """Return the input with zeros inserted and around it (or rows and columns cut, where the pad is negative)."""
        spread = self.inserted()
        around = [(0, 0), *((max(0, before), max(0, after)) for before, after in self.pads)]
        grown = np.pad(spread, around)
        cuts = [(max(0, -before), max(0, -after)) for before, after in self.pads]
        (top, bottom), (left, right) = cuts
        return grown[:, top : grown.shape[1] - bottom, left : grown.shape[2] - right]

    def flipped(self) -> Array:
        """Return the kernel flipped on both axes."""
        return self.weight[:, :, ::-1, ::-1]

    def zero_inserted(self) -> Array:
        """Slide the flipped kernel with stride 1 over the padded input with zeros inserted."""
        padded, flipped = self.padded(), self.flipped()
        y = self._zeros(*self.shape)
        (high, wide), (height, width) = self.layer.axes, self.shape[1:]
        for inputs, outputs in self.groups():
            for i in range(high.kernel_size):
                for j in range(wide.kernel_size):
                    top, left = high.dilation * i, wide.dilation * j
                    window = padded[inputs, top : top + height, left : left + width]
                    y[outputs] += np.tensordot(flipped[inputs, :, i, j], window, axes=(0, 0))
        return y

    # Gradient --------------------------------------------------------------------------------------------------------

    def readers(self, i: int, size: int) -> list[list[tuple[int, int]]]:
        """Return, for each position of the large map on axis ``i``, the (window, tap) pairs that read it.

        Window n of the forward convolution reads the positions stride·n − padding + dilation·tap.
        """
        axis, windows = self.layer.axes[i], self.x.shape[i + 1]
        found: list[list[tuple[int, int]]] = [[] for _ in range(size)]
        for window in range(windows):
            for tap in range(axis.kernel_size):
                position = axis.stride * window - axis.padding + axis.dilation * tap
                if 0 <= position < size:
                    found[position].append((window, tap))
        return found

    def walked_back(self) -> Array:
        """Give each large position the sum, over the forward windows that read it, of their value times that weight."""
        _, height, width = self.shape
        rows, columns = self.readers(0, height), self.readers(1, width)
        by_tap = [
            [(column, n) for column, pairs in enumerate(columns) for n, tap in pairs if tap == j]
            for j in range(self.weight.shape[3])
        ]
        y = self._zeros(*self.shape)
        for inputs, outputs in self.groups():
            # The matrix of the forward convolution, transposed: its rows first, then its columns.
            for row, windows in enumerate(rows):
                if not windows:
                    continue
                values = np.stack([self.x[inputs, window] for window, _ in windows])
                weights = np.stack([self.weight[inputs, :, tap] for _, tap in windows])
                table = np.tensordot(weights, values, axes=((0, 1), (0, 1)))  # (Co/g, kw, w)
                for tap, pairs in enumerate(by_tap):
                    if pairs:
                        places, read = map(list, zip(*pairs, strict=True))
                        y[outputs, row, places] += table[:, tap, read]
        return y

    # Sub-pixel -------------------------------------------------------------------------------------------------------

    @cached_property
    def phases(self) -> tuple[list[Phase], list[Phase]]:
        """The phases of rows and of columns."""
        return phases(self.layer.axes[0]), phases(self.layer.axes[1])

    def phase_size(self) -> tuple[int, int]:
        """Return how many positions of one phase the output can need, from the canvas' first row and column."""
        ends = zip(self.layer.axes, self.shape[1:], strict=True)
        rows, columns = (-(-(axis.padding + o) // axis.stride) for axis, o in ends)
        return rows, columns

    def phase_map(self, rows: Phase, columns: Phase) -> Array:
        """Return the low-resolution convolution of one phase, ``(Co, *phase_size)``."""
        size = self.phase_size()
        made = self._zeros(self.shape[0], *size)
        for inputs, outputs in self.groups():
            for i, above in zip(rows.taps, rows.reads, strict=True):
                for j, beside in zip(columns.taps, columns.reads, strict=True):
                    seen = _shifted(self.x[inputs], above, beside, size)
                    made[outputs] += np.tensordot(self.weight[inputs, :, i, j], seen, axes=(0, 0))
        return made

    def in_phases(self) -> Array:
        """Convolve the input at low resolution once for each phase, interleave the maps, and cut the padding off."""
        high, wide = self.layer.axes
        rows, columns = self.phase_size()
        woven = self._zeros(self.shape[0], rows * high.stride, columns * wide.stride)
        for above in self.phases[0]:
            for beside in self.phases[1]:
                made = self.phase_map(above, beside)
                woven[:, above.residue :: high.stride, beside.residue :: wide.stride] = made
        return woven[:, high.padding :, wide.padding :][:, : self.shape[1], : self.shape[2]]

    # One entry, and torch --------------------------------------------------------------------------------------------

    def terms(self, channel: int, row: int, column: int) -> list[Term]:
        """Return the stamps that meet in one entry."""
        outputs = self.weight.shape[1]
        group, inner = divmod(channel, outputs)
        inputs = self.x.shape[0] // self.layer.groups
        found = []
        for source in range(group * inputs, (group + 1) * inputs):
            for n, i in self._stamps(0, row):
                for m, j in self._stamps(1, column):
                    value, weight = self.x[source, n, m], self.weight[source, inner, i, j]
                    found.append(Term((source, n, m), plain(value), (source, inner, i, j), plain(weight)))
        return found

    def _stamps(self, i: int, position: int) -> list[tuple[int, int]]:
        """Return the inputs, increasing, whose stamp covers a position of the output, each with the tap it does so."""
        axis, size = self.layer.axes[i], self.x.shape[i + 1]
        pairs = []
        for tap in range(axis.kernel_size):
            n, rest = divmod(position + axis.padding - axis.dilation * tap, axis.stride)
            if rest == 0 and 0 <= n < size:
                pairs.append((n, tap))
        return sorted(pairs)

    def unread(self) -> tuple[list[int], list[int]]:
        """Return the rows and the columns of which the cut leaves no stamp."""

        def cut(i: int) -> list[int]:
            left = {n for at in range(self.shape[i + 1]) for n, _ in self._stamps(i, at)}
            return [n for n in range(self.x.shape[i + 1]) if n not in left]

        return cut(0), cut(1)

    def parts(self) -> list[Array]:
        """Return the image and the weight."""
        return [self.x, self.weight]

    def inputs_of(self, channel: int) -> range:
        """Return the channels of the output channel's group."""
        inputs = self.x.shape[0] // self.layer.groups
        group = channel // self.weight.shape[1]
        return range(group * inputs, (group + 1) * inputs)

    def bias_of(self, channel: int) -> Number:
        """Return the channel's bias."""
        return 0 if self.bias is None else plain(self.bias[channel])

    def counts(self) -> Array:
        """Return how many stamps meet in each output position."""
        rows, columns = ([len(self._stamps(i, at)) for at in range(self.shape[i + 1])] for i in (0, 1))
        return np.outer(rows, columns)

    def by_torch(self) -> Array:
        """Return torch's own answer in float64."""
        layer = self.layer
        tensors = [None if a is None else torch.from_numpy(a.astype(np.float64)) for a in (self.weight, self.bias)]
        y = F.conv_transpose2d(
            torch.from_numpy(self.x.astype(np.float64))[None],
            tensors[0],  # type: ignore[arg-type]
            tensors[1],
            layer.stride,
            layer.padding,
            layer.output_padding,
            layer.groups,
            layer.dilation,
        )
        answer: Array = y[0].numpy()
        return answer


def _shifted(x: Array, top: int, left: int, size: tuple[int, int]) -> Array:
    """Return ``x`` read from (top, left) on for ``size`` rows and columns, zero outside."""
    seen = np.zeros((x.shape[0], *size), dtype=x.dtype)
    rows = slice(max(0, -top), max(0, min(size[0], x.shape[1] - top)))
    columns = slice(max(0, -left), max(0, min(size[1], x.shape[2] - left)))
    if rows.start < rows.stop and columns.start < columns.stop:
        seen[:, rows, columns] = x[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
    return seen
