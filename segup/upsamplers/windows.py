"""The windows of a low-resolution map, as matrices: what :mod:`segup.upsamplers.window_sums` weighs.

A cell is a pixel of the low-resolution map; its window is the ``kernel_size²`` cells around it.

Shapes: N images, C channels in g groups, h·w cells, m pixels in a cell, k² cells in a window. The ending of a name is
the order of its axes: ``x_nhwc`` has its channels last, ``x_nhwgc`` has them in groups. ``x_bmk`` is a batch of small
matrices, one for each of the b = N·h·w·g cells and groups: m pixels by k² cells; ``x_bkc`` k² cells by C/g channels.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from segup.symbols import is_exporting
from segup.upsamplers.pooling import mirrored

Border = Literal["zeros", "replicate", "shift"]
"""What windows read beyond the map: zeros; the nearest cell; or nothing, since they shift inwards."""
AnyBorder = Border | Literal["reflect"]
"""The same, or the cells on the other side of the border's."""
Offsets = Sequence[tuple[int, int]]
"""Which cells of a window count, as (row, column) from its own cell."""


def extended(
    x: Tensor, kernel_size: int, border: AnyBorder, rows: slice | None = None, more: tuple[int, int] = (0, 0)
) -> Tensor:
    """Return the map that all windows read: ``(N, h + 2e, w + 2e, C)`` with e = ``kernel_size // 2``.

    A window that shifts inwards reads the cells on its other side: its order differs, its cells do not.

    Args:
        x: ``(N, C, h, w)``.
        kernel_size: k.
        border: What stands beyond the map.
        rows: Which rows of the extended map are made; by default all.
        more: How many rows and columns follow at its end. Nothing in a window comes from them.
    """
    edge, (height, width), x_nhwc = kernel_size // 2, x.shape[-2:], x.permute(0, 2, 3, 1)
    start, stop = (-edge, height + edge + more[0]) if rows is None else (rows.start - edge, rows.stop - edge)
    if border == "zeros":
        above, below = (edge, edge + more[0]) if rows is None else (max(-start, 0), max(stop - height, 0))
        inside = x_nhwc if rows is None else x_nhwc[:, max(start, 0) : stop]
        return F.pad(inside, (0, 0, edge, edge + more[1], above, below))
    down = _inside(torch.arange(start, stop, device=x.device), height, kernel_size, border)
    across = _inside(torch.arange(-edge, width + edge + more[1], device=x.device), width, kernel_size, border)
    if rows is not None:  # index_select would copy the whole map to another layout; no border leads beyond k rows
        first = max(start - kernel_size, 0)
        x_nhwc, down = x_nhwc[:, first : stop + kernel_size], down - first
    return x_nhwc.index_select(1, down).index_select(2, across)


def windows(whole_nhwc: Tensor, kernel_size: int, groups: int = 1, offsets: Offsets | None = None) -> Tensor:
    """Return the windows of all cells of an :func:`extended` map: ``(N·h·w·g, k², C / g)``, row by row.

    On a CPU rows of a table, which F.embedding reads: its gradient adds whole rows, in half the time of that of slices.
    An exported program does the same: onnxruntime copies each slice, and then all of them once more. Elsewhere slices
    that are stacked once.
    """
    edge = kernel_size // 2
    count, whole, columns, channels = whole_nhwc.shape
    height, width = whole - 2 * edge, columns - 2 * edge
    places = [(row + edge, column + edge) for row, column in offsets or _whole(kernel_size)]
    if is_exporting() or (whole_nhwc.is_cpu and not is_traced()):
        image, row, column, group = (torch.arange(n, device=whole_nhwc.device) for n in (count, height, width, groups))
        down, across = torch.tensor(places, device=whole_nhwc.device).unbind(1)
        row_nhk = image[:, None, None] * whole + row[:, None] + down
        cell_nhwk = row_nhk.unsqueeze(2) * columns + column[:, None] + across
        index_nhwgk = cell_nhwk.unsqueeze(3) * groups + group[:, None]
        return F.embedding(index_nhwgk.flatten(0, 3), whole_nhwc.reshape(-1, channels // groups))
    whole_nhwgc = whole_nhwc.reshape(*whole_nhwc.shape[:3], groups, channels // groups)
    slices = [whole_nhwgc[:, row : row + height, column : column + width] for row, column in places]
    return torch.stack(slices, dim=4).reshape(count * height * width * groups, len(places), channels // groups)


def squares_with_edges(whole_nhwc: Tensor, kernel_size: int, groups: int = 1) -> Tensor:
    """Return the cells that squares of (k − 1)² cells read, of an :func:`extended` map of whole squares.

    ``(N·squares·g, (2k − 2)², C / g)``: a square and the three right of it and below, since what is read reaches
    (k − 1)/2 cells beyond the square on each side.
    """
    side = kernel_size - 1
    count, whole, columns, channels = whole_nhwc.shape
    height, width = whole // side - 1, columns // side - 1
    squares = whole_nhwc.unflatten(3, (groups, -1)).unflatten(2, (-1, side)).unflatten(1, (-1, side))
    parts = [
        squares[:, down : down + height, :, across : across + width].permute(0, 1, 3, 5, 2, 4, 6)
        for down in (0, 1)
        for across in (0, 1)
    ]
    return torch.stack(parts, dim=4).reshape(count * height * width * groups, 4 * side**2, channels // groups)


def in_squares(bias: Tensor, scales: tuple[int, int]) -> Tensor:
    """Return what is added for the cells of :func:`squares_with_edges`: ``(1, m, (2k − 2)²)``, −∞ where hidden.

    Args:
        bias: What is added for the cells of a pixel's own window, ``(k²,)``.
        scales: Rows and columns of pixels in a cell.

    >>> in_squares(torch.zeros(9), (1, 1))[0, 0].reshape(4, 2, 2).exp().int().tolist()
    [[[1, 1], [1, 1]], [[1, 0], [1, 0]], [[1, 1], [0, 0]], [[1, 0], [0, 0]]]
    """
    kernel_size = math.isqrt(len(bias))
    side = kernel_size - 1
    place = torch.arange(2 * side, device=bias.device).reshape(2, side)
    cells = [torch.arange(side * scale, device=bias.device)[:, None, None] // scale for scale in scales]
    offsets = [(place - cell).where((place >= cell) & (place < cell + kernel_size), -1) for cell in cells]
    down, across = offsets[0][:, None, :, None, :, None], offsets[1][None, :, None, :, None, :]
    index = (down * kernel_size + across).where((down >= 0) & (across >= 0), kernel_size**2)  # the last one is hidden
    return F.pad(bias, (0, 1), value=-torch.inf)[index].flatten(2).flatten(0, 1).unsqueeze(0)


def _whole(kernel_size: int) -> Offsets:
    """Return the offsets of a whole window, row by row."""
    around = range(-(kernel_size // 2), kernel_size // 2 + 1)
    return list(itertools.product(around, around))


def window_mask(low: tuple[int, int], kernel_size: int, border: AnyBorder, device: torch.device) -> Tensor | None:
    """Return which of the k² cells count, ``(k²,)``, or None where all do: a window larger than the map repeats some.

    In a traced program, where sizes are symbols, there is always a mask.
    """
    if border != "shift" or (not is_traced() and min(low) >= kernel_size):
        return None
    offset = torch.arange(kernel_size, device=device) - kernel_size // 2
    taken = [_taken(size, kernel_size, device) for size in low]
    rows, columns = ((offset >= -(number // 2)) & (offset < number - number // 2) for number in taken)
    return (rows.unsqueeze(1) & columns).flatten()


def is_traced() -> bool:
    """Return whether a program is being made of what runs, in which sizes may be symbols."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _inside(place: Tensor, size: int, kernel_size: int, border: AnyBorder) -> Tensor:
    """Return which cell of an axis stands at each place, which may lie beyond its border."""
    if border == "reflect":
        return mirrored(place, size)
    if border == "shift":
        taken = _taken(size, kernel_size, place.device)
        place = torch.where(place < 0, place + taken, torch.where(place >= size, place - taken, place))
    return place.clamp(min=0, max=size - 1)


def _taken(size: int, kernel_size: int, device: torch.device) -> Tensor:
    """Return min(kernel_size, size) as a tensor: in a traced program a comparison of sizes would be a guard."""
    return (torch.arange(size, device=device)[-1:] + 1).clamp(max=kernel_size)
