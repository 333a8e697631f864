"""The normal form that all claimed layers share: one kernel, stamped once for every input value."""

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Stamp:
    """What a layer computes, per axis: ``y[n] = bias + Σᵢ x[i]·weight[(n + offset − stride·i) / dilation]``.

    It is defined for ``0 ≤ n < stride·h + growth``, h the input's size. A transposed convolution is its stamp:
    ``offset`` is the padding and ``growth`` is ``dilation·(kernel_size − 1) + 1 − stride − 2·padding +
    output_padding``. The others differ in what offset and growth can be, so each rewrite reads one and builds another.

    Attributes:
        weight: ``(in_channels, out_channels/groups, kernel height, kernel width)``, as ConvTranspose2d stores it.
        bias: ``(out_channels,)``, or None.
        stride: Output pixels from one stamp to the next, (height, width) as all that follow.
        offset: Position in the kernel's extent that falls on output 0 for input 0; it may be negative.
        growth: Output size beyond ``stride·h``; it may be negative.
        dilation: Output pixels from tap to tap.
        output_padding: The part of growth that ``output_size`` may replace.
        groups: Groups of channels.
    """

    weight: Tensor
    bias: Tensor | None
    stride: Pair
    offset: Pair
    growth: Pair
    dilation: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1

    @property
    def in_channels(self) -> int:
        """Channels read."""
        return self.weight.shape[0]

    @property
    def out_channels(self) -> int:
        """Channels written."""
        return self.weight.shape[1] * self.groups

    @property
    def kernel_size(self) -> Pair:
        """Taps on each axis."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def extent(self) -> Pair:
        """Output pixels from the first tap to the last."""
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def dense(self) -> "Stamp":
        """Return the same with dilation 1: zeros are written between the taps."""
        if self.dilation == (1, 1):
            return self
        weight = self.weight.new_zeros(*self.weight.shape[:2], *self.extent)
        weight[..., :: self.dilation[0], :: self.dilation[1]] = self.weight
        return replace(self, weight=weight, dilation=(1, 1))

    def with_zero_taps(self, before: Pair, after: Pair) -> "Stamp":
        """Return the same with rows and columns of zero taps before and after the kernel (dilation 1)."""
        offset = (self.offset[0] + before[0], self.offset[1] + before[1])
        weight = F.pad(self.weight, (before[1], after[1], before[0], after[0]))
        return replace(self, weight=weight, offset=offset)


def as_conv_weight(weight: Tensor, groups: int) -> Tensor:
    """Return a transposed convolution's weight as that of the convolution at stride 1: flipped, in and out swapped.

    ``(in, out/groups, kh, kw)`` → ``(out, in/groups, kh, kw)``. :func:`as_transposed_weight` undoes it.

    >>> import torch
    >>> as_conv_weight(torch.arange(4.0).reshape(1, 1, 2, 2), 1).flatten().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(-1, -2)


def as_transposed_weight(weight: Tensor, groups: int) -> Tensor:
    """Return a convolution's weight ``(out, in/groups, kh, kw)`` as ``(in, out/groups, kh, kw)``, flipped.

    >>> import torch
    >>> weight = torch.rand(6, 2, 3, 5)
    >>> bool((as_transposed_weight(as_conv_weight(weight, 3), 3) == weight).all())
    True
    """
    return as_conv_weight(weight, groups)


def split_phases(weight: Tensor, stride: Pair, groups: int) -> Tensor:
    """Return a kernel as one low-resolution convolution for each of its ``stride²`` phases.

    ``(in, out/groups, S·a, S·b)`` → ``(out·stride², in/groups, a, b)``: phase (r, c) of an output channel holds the
    taps ``[r::stride, c::stride]``, flipped, in pixel shuffle's order. :func:`join_phases` undoes it.

    >>> import torch
    >>> split_phases(torch.arange(4.0).reshape(1, 1, 1, 4), (1, 2), 1).flatten(1).tolist()
    [[2.0, 0.0], [3.0, 1.0]]
    """
    (sh, sw), (inputs, outputs, height, width) = stride, weight.shape
    taps = weight.reshape(groups, inputs // groups, outputs, height // sh, sh, width // sw, sw)
    phases = taps.flip(3, 5).permute(0, 2, 4, 6, 1, 3, 5)  # group, out, phase row, phase column, in, tap row, column
    return phases.reshape(groups * outputs * sh * sw, inputs // groups, height // sh, width // sw)


def join_phases(weight: Tensor, stride: Pair, groups: int) -> Tensor:
    """Return the kernel whose phases are a low-resolution convolution's: the inverse of :func:`split_phases`.

    >>> import torch
    >>> weight = torch.rand(6, 2, 4, 9)
    >>> bool((join_phases(split_phases(weight, (2, 3), 3), (2, 3), 3) == weight).all())
    True
    """
    (sh, sw), (outputs, inputs, rows, columns) = stride, weight.shape
    phases = weight.reshape(groups, outputs // (groups * sh * sw), sh, sw, inputs, rows, columns)
    taps = phases.permute(0, 4, 1, 5, 2, 6, 3).flip(3, 5)
    return taps.reshape(groups * inputs, outputs // (groups * sh * sw), rows * sh, columns * sw)
