"""The transposed convolution with its numbers, computed four ways that share no step."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from segup.explain.amount import check_numbers
from segup.explain.numbers import Array
from segup.explain.operation import WeightedOperation
from segup.shapes import ConvTranspose
from segup.shapes.arguments import per_axis
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
class DeconvOperation(WeightedOperation):
    """A transposed convolution of one image.

    Args:
        layer: Its parameters; output_padding is the one in use, also where an output size was asked for.
        x: ``(Ci, h, w)``.
        weight: ``(Ci, Co/groups, kh, kw)``, as torch keeps it.
        bias: ``(Co,)`` or None.
    """

    layer: ConvTranspose
    ways: ClassVar[tuple[str, ...]] = ("scatter", "zero_insertion", "gradient", "subpixel")

    @property
    def channels(self) -> int:
        """Co."""
        return self.weight.shape[1] * self.layer.groups

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns before the cut: those that stamps reach, or those that output_padding asks for beyond."""
        axes, had, made = self.layer.axes, self.x.shape[1:], self.shape[1:]
        return per_axis(lambda i: max((had[i] - 1) * axes[i].stride + axes[i].extent, axes[i].padding + made[i]))

    def compute(self, way: str) -> Array:
        """Return the output, computed the way of one view."""
        ways = {
            "scatter": self.scattered,
            "zero_insertion": self.zero_inserted,
            "gradient": self.walked_back,
            "subpixel": self.in_phases,
        }
        return self.with_bias(ways[way]())

    def _zeros(self, *shape: int) -> Array:
        return np.zeros(shape, dtype=self.x.dtype)

    # Scatter ---------------------------------------------------------------------------------------------------------

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

    def window(self, seen: Array, i: int, j: int) -> Array:
        """Return what tap (i, j) of the flipped kernel sees of the padded image as it slides over it."""
        (high, wide), (_, height, width) = self.layer.axes, self.shape
        top, left = high.dilation * i, wide.dilation * j
        return seen[:, top : top + height, left : left + width]

    def zero_inserted(self) -> Array:
        """Slide the flipped kernel with stride 1 over the padded input with zeros inserted."""
        padded, flipped, y = self.padded(), self.flipped(), self._zeros(*self.shape)
        for inputs, outputs in self.groups():
            for i, j in np.ndindex(self.weight.shape[2:]):
                y[outputs] += np.tensordot(flipped[inputs, :, i, j], self.window(padded[inputs], i, j), axes=(0, 0))
        return y

    # Gradient --------------------------------------------------------------------------------------------------------

    @cached_property
    def stamped(self) -> list[list[list[tuple[int, int]]]]:
        """For each row and each column of the canvas, the (input, tap) pairs that stamp it: stride·n + dilation·tap.

        Window n of the forward convolution reads the same positions.
        """
        found = []
        for axis, size, length in zip(self.layer.axes, self.x.shape[1:], self.canvas, strict=True):
            lines: list[list[tuple[int, int]]] = [[] for _ in range(length)]
            for n, tap in np.ndindex(size, axis.kernel_size):
                lines[axis.stride * n + axis.dilation * tap].append((n, tap))
            found.append(lines)
        return found

    def reads(self, i: int, out: int) -> list[tuple[int, int]]:
        """Return the inputs whose stamp covers an output on axis ``i``, each with the tap that does so."""
        return self.stamped[i][out + self.layer.axes[i].padding]

    def walked_back(self) -> Array:
        """Give each large position the sum, over the forward windows that read it, of their value times that weight."""
        rows, columns = ([self.reads(i, at) for at in range(self.shape[i + 1])] for i in (0, 1))
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
        axes = self.layer.axes
        return per_axis(lambda i: -(-(axes[i].padding + self.shape[i + 1]) // axes[i].stride))

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

    def pair(self, source: int, channel: int) -> tuple[int, int]:
        """Return the input channel, and the output channel's place in its group."""
        return source, channel % self.weight.shape[1]

    def in_torch(self, x: Tensor) -> Tensor:
        """Return torch's own answer."""
        layer = self.layer
        return F.conv_transpose2d(
            x, *self.tensors(), layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        )


def _shifted(x: Array, top: int, left: int, size: tuple[int, int]) -> Array:
    """Return ``x`` read from (top, left) on for ``size`` rows and columns, zero outside."""
    seen = np.zeros((x.shape[0], *size), dtype=x.dtype)
    rows = slice(max(0, -top), max(0, min(size[0], x.shape[1] - top)))
    columns = slice(max(0, -left), max(0, min(size[1], x.shape[2] - left)))
    if rows.start < rows.stop and columns.start < columns.stop:
        seen[:, rows, columns] = x[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
    return seen
