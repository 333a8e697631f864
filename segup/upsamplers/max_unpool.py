"""Max unpooling with the encoder's indices, then convolution."""

from typing import Any

import torch
from torch import Tensor, nn

from segup.conform import OddKernel
from segup.errors import ShapeError, figures
from segup.shapes import ConvTranspose
from segup.upsamplers.contract import Channels, Scale, Size, Upsampler, register_upsampler
from segup.upsamplers.interpolation import init_weight
from segup.upsamplers.layout import is_channels_last
from segup.upsamplers.projection import project


@register_upsampler("max_unpool")
class MaxUnpool(Upsampler):
    """Put every value where the encoder's max pooling found its maximum, and zeros elsewhere; then convolve.

    This is SegNet's upsampling (arXiv 1511.00561). The encoder's pooling must have kernel and stride ``scale`` and no
    padding. ``indices`` are the result of ``max_pool2d(..., return_indices=True)``: flat positions in the map before
    the pooling. So ``size`` must be the size of that map. Nothing is corrected: every size that pools to ``h``, rounded
    down or up (``ceil_mode``), is reached exactly. Without ``size`` the map has ``scale·h × scale·w``.

    Args:
        in_channels, out_channels, scale, fit: See :class:`segup.upsamplers.Upsampler`.
        skip_channels: Channels of the map before the pooling, and so of the indices; ``in_channels`` by default. If
            they differ, a 1×1 convolution gives the input ``skip_channels`` channels.
        kernel_size: Kernel size of the convolution after the unpooling, odd; 3 by default.

    Shape: ``(N, in_channels, h, w)`` and indices ``(N, skip_channels, h, w)`` → ``(N, out_channels, H, W)`` with
    ``H`` from ``scale·h - scale + 1`` to ``scale·h + scale - 1``.
    Parameters: ``kernel_size²·skip_channels·out_channels + out_channels``, and
    ``in_channels·skip_channels + skip_channels`` where these two differ. Multiply-accumulates for each position of
    ``x``: ``scale²·kernel_size²·skip_channels·out_channels``, and ``in_channels·skip_channels``.

    Raises:
        ShapeError: The indices are missing or have another shape or type. On the CPU outside torch.compile, where the
            check costs nothing: indices lie outside the map or their windows, for example those of a map of another
            width.

    It has no ``init="interpolate"``: of each ``scale²`` positions all but one are zero, and the image decides which
    one. For the same reason an impulse may lie up to ``scale - 1`` pixels from the middle of its cell, and a constant
    shows the places of the maxima.

    It equals ``max_unpool2d`` followed by the convolution. It is written as a scatter, because a scatter has a
    deterministic form on CUDA.

    >>> pooled, indices = nn.functional.max_pool2d(torch.rand(1, 8, 33, 46), 2, return_indices=True)
    >>> MaxUnpool(8, 4)(pooled, size=(33, 46), indices=indices).shape
    torch.Size([1, 4, 33, 46])
    """

    requires = frozenset({"indices"})
    projects = "first"

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: OddKernel = 3,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.index_channels = in_channels if self.skip_channels is None else self.skip_channels
        self.project = project(in_channels, self.index_channels)
        self.conv = nn.Conv2d(self.index_channels, out_channels, kernel_size, padding=kernel_size // 2)
        init_weight(self.conv, None)

    @property
    def arithmetic(self) -> ConvTranspose:
        """The inverse of the pooling: its ``reachable`` are the sizes that round down to the input's."""
        return ConvTranspose(self.scale, self.scale)

    def own(self, low: int) -> Size:
        """Return the smallest and the largest size that pools to ``low``; each between is reached by itself."""
        return self.scale * low - self.scale + 1, self.scale * low + self.scale - 1

    def out_of_reach(self, low: int, wanted: int, axis: str) -> str:
        """Return the message for a size that no map can have had that was pooled to ``low``."""
        least, largest = self.own(low)
        return (
            f"{self.describe()} brings {axis} {low} to {least} … {largest}, not to {wanted}: no map of {wanted} pools "
            f"to {low} with kernel and stride {self.scale}.\n  try: size=the size of the map that was pooled"
        )

    def checked_guide(self, name: str, guide: Tensor | None, x: Tensor, size: Size) -> Tensor:
        """Return the indices, once it is known that they are ``(N, skip_channels, h, w)``; see the base class."""
        if name != "indices":
            return super().checked_guide(name, guide, x, size)
        wanted = (x.shape[0], self.index_channels, *x.shape[-2:])
        way_out = "try: indices=the second result of the max_pool2d(..., return_indices=True) to be undone"
        if not isinstance(guide, Tensor):
            got = "and got none" if guide is None else f"not {type(guide).__name__}"
            raise ShapeError(
                f"{self.describe()} takes the pooling indices {figures(wanted)} with this input, {got}.\n  {way_out}"
            )
        same = guide.dim() == 4 and all(n == m for n, m in zip(guide.shape, wanted, strict=True))
        if not same or guide.dtype != torch.int64:
            raise ShapeError(
                f"{self.describe()} takes int64 indices {figures(wanted)} with this input, not "
                f"{str(guide.dtype).removeprefix('torch.')} {figures(guide.shape)}\n  {way_out}"
            )
        return guide

    def upsample(self, x: Tensor, *, indices: Tensor) -> Tensor:
        """Return the convolution of ``x`` unpooled into a map of ``scale·h × scale·w``."""
        return self.upsample_to(x, (self.scale * x.shape[-2], self.scale * x.shape[-1]), indices=indices)

    def upsample_to(self, x: Tensor, size: Size, **guides: Tensor) -> Tensor:
        """Return the convolution of ``x`` unpooled into a map of ``size``, which the indices refer to."""
        indices = guides["indices"]
        if _can_be_read(indices):
            check_windows(indices, size, self.scale, self.describe())
        return self.conv(unpool(self.project(x), indices, size))


def unpool(x: Tensor, indices: Tensor, size: Size) -> Tensor:
    """Return a map of ``size`` with the values of ``x`` at the flat positions ``indices``, zeros elsewhere.

    ``max_unpool2d``, in the memory format of ``x``. Where two values meet, one of them stays.

    >>> unpool(torch.tensor([[[[7.0]]]]), torch.tensor([[[[2]]]]), (2, 2)).tolist()
    [[[[0.0, 0.0], [7.0, 0.0]]]]
    """
    height, width = size
    if is_channels_last(x):
        rows, where = x.permute(0, 2, 3, 1).flatten(1, 2), indices.permute(0, 2, 3, 1).flatten(1, 2)
        y = x.new_zeros(x.shape[0], height * width, x.shape[1]).scatter(1, where, rows)
        return y.unflatten(1, (height, width)).permute(0, 3, 1, 2)  # from N, H·W, C
    y = x.new_zeros(x.shape[0], x.shape[1], height * width).scatter(2, indices.flatten(2), x.flatten(2))
    return y.unflatten(2, (height, width))


def _can_be_read(indices: Tensor) -> bool:
    """Return whether looking at the values costs nothing.

    Tensors that stand for others (tracing, fake tensors, torch.func's) hold none, and reading them on a GPU would wait.
    """
    if torch.compiler.is_compiling() or type(indices) is not Tensor or indices.device.type != "cpu":
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(indices)


def check_windows(indices: Tensor, size: Size, scale: int, owner: str) -> None:
    """Raise a ShapeError unless each index lies in its own window of a map of ``size``.

    Windows are looked at in one channel of one image, which is enough to tell a map of another width; all indices are
    held against the map's end.
    """
    if indices.numel() == 0:
        return
    way_out = f"try: size=the size of the map that was pooled, with kernel and stride {scale} and no padding."
    one = indices[:1, :1]
    rows = torch.div(one, size[1], rounding_mode="floor")
    columns = one - rows * size[1]
    at_row = torch.arange(one.shape[-2]).unsqueeze(1)
    at_column = torch.arange(one.shape[-1])
    astray = (rows // scale != at_row) | (columns // scale != at_column) | (rows >= size[0])
    if astray.any():
        row, column = astray.nonzero()[0, -2:].tolist()
        index = int(one[0, 0, row, column])
        raise ShapeError(
            f"{owner}: the index at ({row}, {column}) is {index}, which in a map of {figures(size)} is row "
            f"{index // size[1]}, column {index % size[1]}: outside its window of {scale}×{scale} from row "
            f"{row * scale}, column {column * scale}.\n  {way_out}"
        )
    in_order = indices.permute(0, 2, 3, 1) if is_channels_last(indices) else indices  # read six times as fast
    least, largest = (int(index) for index in in_order.aminmax())
    if least < 0 or largest >= size[0] * size[1]:
        raise ShapeError(
            f"{owner}: indices go from {least} to {largest}, but a map of {figures(size)} has the pixels "
            f"0 … {size[0] * size[1] - 1}.\n  {way_out}"
        )
