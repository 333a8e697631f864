"""The modules that a rewrite builds where torch has no layer of its own."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.errors import ShapeError
from segup.shapes.arguments import per_axis
from segup.surgery.stamp import Pair, Stamp


class StampedConv2d(nn.Module):
    """A convolution at stride 1 that computes a strided transposed convolution; see the two subclasses.

    On each axis the output is ``stride·h + growth`` long and begins ``offset`` into the first stamp: the padding, where
    it was built from a ConvTranspose2d.

    Args:
        conv: The convolution, without padding of its own.
        stamp: What is computed; its weight is not kept.

    ``forward(x, output_size=None)`` is called as ConvTranspose2d is. ``kernel_size``, ``stride``, ``dilation``,
    ``groups``, ``in_channels`` and ``out_channels`` are those of the transposed convolution.
    """

    def __init__(self, conv: nn.Conv2d, stamp: Stamp) -> None:
        super().__init__()
        self.conv = conv
        self.in_channels, self.out_channels, self.groups = stamp.in_channels, stamp.out_channels, stamp.groups
        self.kernel_size, self.stride, self.dilation = stamp.kernel_size, stamp.stride, stamp.dilation
        self.offset, self.growth, self.output_padding = stamp.offset, stamp.growth, stamp.output_padding

    def growth_for(self, x: Tensor, output_size: Sequence[int] | None) -> Pair:
        """Return what the output has beyond ``stride·h`` rows and ``stride·w`` columns.

        Raises:
            ShapeError: An input of the wrong shape, an empty output, or an ``output_size`` out of reach.
        """
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels or 0 in x.shape[-2:]:
            raise ShapeError(
                f"{type(self).__name__} takes (N, {self.in_channels}, h, w) with h, w ≥ 1, not {tuple(x.shape)}"
            )
        growth = self.growth
        if output_size is not None:
            growth = per_axis(lambda axis: self._growth_to(axis, x.shape[axis - 2], output_size[axis - 2]))
        for axis, name in enumerate(("height", "width")):
            low, stride, cut = x.shape[axis - 2], self.stride[axis], -growth[axis]
            if low * stride <= cut:
                raise ShapeError(
                    f"{type(self).__name__} brings {name} {low} to {stride}·{low} − {cut} = {low * stride - cut}: "
                    f"its padding cuts all of it.\n  try: {name} {cut // stride + 1} or more."
                )
        return growth

    def _growth_to(self, axis: int, low: int, wanted: int) -> int:
        stride = self.stride[axis]
        least = low * stride + self.growth[axis] - self.output_padding[axis]
        if not least <= wanted < least + stride:
            raise ShapeError(
                f"{type(self).__name__} brings {('height', 'width')[axis]} {low} to {least} … {least + stride - 1}, "
                f"not to {wanted}.\n  try: an output_size in that range."
            )
        return wanted - stride * low

    def extra_repr(self) -> str:
        """Return the transposed convolution's parameters for ``print``."""
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        more = {"dilation": self.dilation, "groups": self.groups}
        rest = "".join(f", {name}={value}" for name, value in more.items() if value not in (1, (1, 1)))
        return f"{shown}, offset={self.offset}, growth={self.growth}{rest}"


class SubPixelConv2d(StampedConv2d):
    """A transposed convolution computed at low resolution: a convolution for each phase, then pixel shuffle.

    Output pixels of one phase (position modulo stride) read the same taps, every ``stride``-th of the kernel, so each
    phase is a small convolution of the input itself (Shi et al., arXiv 1609.07009). No zeros are multiplied but those
    that bring the kernel's extent to a multiple of the stride; they are parameters, and training would move them.

    Built by :func:`segup.surgery.to_subpixel`.

    Shape: ``(N, in_channels, h, w)`` → that of the layer it was built from.
    """

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return what the transposed convolution returns."""
        growth = self.growth_for(x, output_size)
        padding: list[int] = []
        cut: list[int] = []
        for axis in (1, 0):  # F.pad counts from the last axis
            stride, offset, end = self.stride[axis], self.offset[axis], self.offset[axis] + growth[axis]
            padding += [self.conv.kernel_size[axis] - 1 - offset // stride, -(-end // stride)]
            cut += [-(offset % stride), -(-end % stride)]
        return pad(shuffle(self.conv(pad(x, padding)), self.stride), cut)


class ZeroInsertionConv2d(StampedConv2d):
    """A transposed convolution as its textbook form: zeros between the inputs, then a convolution at stride 1.

    The kernel is that of the transposed convolution, flipped on both axes, in and out channels swapped (Dumoulin and
    Visin, arXiv 1603.07285, relationship 14). It costs ``stride²`` times as much; it is there to be read and compared.

    Built by :func:`segup.surgery.to_zero_insertion`.

    Shape: ``(N, in_channels, h, w)`` → that of the layer it was built from.
    """

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return what the transposed convolution returns."""
        growth = self.growth_for(x, output_size)
        padding: list[int] = []
        for axis in (1, 0):
            last = self.conv.dilation[axis] * (self.conv.kernel_size[axis] - 1)
            padding += [last - self.offset[axis], self.offset[axis] + growth[axis]]
        return self.conv(pad(insert_zeros(x, self.stride), padding))


class BilinearDeconv2d(nn.Module):
    """Bilinear resizing as a fixed depthwise transposed convolution, borders included.

    The edge is repeated by one pixel, every channel is stamped with the triangle of ``2·scale`` taps (``2·scale − 1``
    for an odd scale), and the padding cuts what the repeated edge adds. The kernel is no parameter: it is computed in
    the input's dtype, for any number of channels.

    Args:
        scale: The factor, an int or a (height, width) pair.

    Shape: ``(N, C, h, w)`` → ``(N, C, scale·h, scale·w)``.

    >>> x = torch.rand(2, 3, 4, 5)
    >>> expected = F.interpolate(x, scale_factor=3, mode="bilinear", align_corners=False)
    >>> torch.allclose(BilinearDeconv2d(3)(x), expected, atol=1e-6)
    True
    """

    def __init__(self, scale: int | Pair) -> None:
        super().__init__()
        self.scale: Pair = (scale, scale) if isinstance(scale, int) else scale

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` resized by the scale."""
        if x.dim() != 4 or 0 in x.shape[-2:]:
            raise ShapeError(f"BilinearDeconv2d takes (N, C, h, w) with h, w ≥ 1, not {tuple(x.shape)}")
        sh, sw = self.scale
        taps = triangle(sh, x.device)[:, None] * triangle(sw, x.device)  # whole numbers, exact in every dtype
        kernel = taps.to(x.dtype) / (4 * sh * sw)
        channels = x.shape[1]
        return F.conv_transpose2d(
            F.pad(x, (1, 1, 1, 1), mode="replicate"),
            kernel.expand(channels, 1, -1, -1),
            stride=self.scale,
            padding=(sh + sh // 2, sw + sw // 2),
            groups=channels,
        )

    def extra_repr(self) -> str:
        """Return the scale for ``print``."""
        return f"scale={self.scale}"


def triangle(scale: int, device: torch.device | None = None) -> Tensor:
    """Return the taps of linear interpolation by ``scale``, times ``2·scale``: whole numbers.

    >>> triangle(2).tolist(), triangle(3).tolist()
    ([1, 3, 3, 1], [2, 4, 6, 4, 2])
    """
    distance = torch.arange(-(scale // 2), 2 * scale - scale // 2 - scale % 2, device=device) * 2 + 1 - scale
    return 2 * scale - distance.abs()


def insert_zeros(x: Tensor, stride: Pair) -> Tensor:
    """Return ``x`` with ``stride − 1`` zeros after every row and column: ``(..., stride·h, stride·w)``.

    >>> insert_zeros(torch.tensor([[1.0, 2.0]]), (1, 2)).tolist()
    [[1.0, 0.0, 2.0, 0.0]]
    """
    spread = F.pad(x[..., None, :, None], (0, stride[1] - 1, 0, 0, 0, stride[0] - 1))
    return spread.flatten(-2).flatten(-3, -2)


def shuffle(y: Tensor, stride: Pair) -> Tensor:
    """Return pixel shuffle with a factor for each axis: ``(..., C·sh·sw, h, w)`` → ``(..., C, sh·h, sw·w)``.

    >>> shuffle(torch.arange(6.0).reshape(6, 1, 1), (3, 2)).tolist()
    [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    """
    if stride[0] == stride[1]:
        return F.pixel_shuffle(y, stride[0])
    cells = y.unflatten(-3, (-1, *stride))  # ..., C, sh, sw, h, w
    return cells.movedim(-4, -2).flatten(-3, -2).movedim(-3, -1).flatten(-2)


def pad(x: Tensor, amounts: Sequence[int]) -> Tensor:
    """Return ``F.pad(x, amounts)``, where negative amounts may cut what the positive ones add.

    >>> pad(torch.ones(1, 1), (-2, 3, 0, 0)).tolist()
    [[0.0, 0.0]]
    """
    added, cut = [max(0, amount) for amount in amounts], [min(0, amount) for amount in amounts]
    if any(added):
        x = F.pad(x, added)
    return F.pad(x, cut) if any(cut) else x
