"""Average pooling to a size, also where sizes are symbols, and reflection at the border, also of small maps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.symbols import is_exporting, known_equal
from segup.upsamplers.fitting import Size


def pool_to(x: Tensor, size: Size) -> Tensor:
    """Return adaptive average pooling to ``size``: row i is the mean of rows ⌊i·H/h⌋ to ⌈(i + 1)·H/h⌉ − 1.

    In a traced program, and under deterministic algorithms on CUDA, it is a product with the matrices of these means:
    torch exports adaptive pooling to a symbolic size as pooling to the size of its example.

    >>> pool_to(torch.arange(5.0).reshape(1, 1, 1, 5), (1, 2)).tolist()
    [[[[1.0, 3.0]]]]
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if known_equal((x.shape[-2], x.shape[-1]), size):
        return x
    if traced or (x.is_cuda and torch.are_deterministic_algorithms_enabled()):
        # both from the left: torch would fold rows and batch into one axis for a matrix from the right, and export it
        # with a guard on their number
        down, across = (pooling_matrix(high, low, x) for high, low in zip(x.shape[-2:], size, strict=True))
        return (across @ (down @ x).mT).mT
    return F.adaptive_avg_pool2d(x, size)


def pooling_matrix(high: int, low: int, like: Tensor) -> Tensor:
    """Return the matrix ``(low, high)`` of :func:`pool_to` along one axis, in the type of ``like``.

    >>> pooling_matrix(3, 2, torch.empty(0)).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    row, column = torch.arange(low, device=like.device).unsqueeze(1), torch.arange(high, device=like.device)
    first = torch.div(row * high, low, rounding_mode="floor")
    last = torch.div((row + 1) * high + low - 1, low, rounding_mode="floor")
    inside = (column >= first) & (column < last)
    return inside.to(like.dtype) / (last - first).to(like.dtype)


def reflect(x: Tensor, edge: int) -> Tensor:
    """Return ``(N, C, H, W)`` with ``edge`` rows and columns reflected on each side, also where a side is shorter.

    Slices, since the gradient of F.pad's "reflect" is not deterministic on CUDA.

    >>> reflect(torch.tensor([[[[0.0, 1.0, 2.0]]]]), 1)[0, 0, 0].tolist()
    [1.0, 0.0, 1.0, 2.0, 1.0]
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    exported = is_exporting()  # then a side may have one pixel, of which no slice reflects
    for axis in (2, 3):
        size = x.shape[axis]
        one = type(size) is int and size == 1  # in a program for all sizes, 1 alone is a number
        if not exported and (edge == 1 and not one if traced else size > edge):  # a comparison would be a guard
            before, after = x.narrow(axis, 1, edge), x.narrow(axis, size - 1 - edge, edge)
            x = torch.cat((before.flip(axis), x, after.flip(axis)), axis)
        else:
            x = x.index_select(axis, mirrored(torch.arange(size + 2 * edge, device=x.device) - edge, size))
    return x


def mirrored(place: Tensor, size: int) -> Tensor:
    """Return which pixel of an axis stands at each place, which may lie beyond its border, reflected back and forth.

    >>> mirrored(torch.arange(-2, 5), 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    period = torch.full((), max(2 * (size - 1), 1), device=place.device)  # ONNX divides by no symbol
    place = place % period
    return torch.minimum(place, period - place).clamp(max=size - 1)


class ReflectConv(nn.Conv2d):
    """A convolution that keeps the size by reflection, of a map of any size.

    >>> ReflectConv(1, 1, 3)(torch.zeros(1, 1, 1, 5)).shape
    torch.Size([1, 1, 1, 5])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of the extended map."""
        edge = int(self.kernel_size[0]) // 2
        return super().forward(reflect(x, edge) if edge else x)
