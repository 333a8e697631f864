"""A weighted sum over the window of a cell, which carafe, fade, sapa and the operators guided by an image share.

A cell is a pixel of the low-resolution map; its window is the ``kernel_size²`` cells around it. Each pixel of the
result belongs to one cell, so that windows are gathered once at low resolution, and all pixels of a cell are one small
matrix product. Shapes: N images, C channels in g groups, h·w cells, m pixels in a cell, k² cells in a window.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from segup.upsamplers.cells import from_grid, in_cells, pixels_in_cell, to_grid
from segup.upsamplers.layout import is_channels_last
from segup.upsamplers.pooling import reflect

Border = Literal["zeros", "replicate", "shift"]
"""What windows read beyond the map: zeros; the nearest cell; or nothing, since they shift inwards."""
Offsets = Sequence[tuple[int, int]]
"""Which cells of a window count, as (row, column) from its own cell."""


def reassemble(
    features: Tensor,
    kernels: Tensor,
    kernel_size: int,
    groups: int = 1,
    scale: int = 2,
    border: Border | Literal["reflect"] = "zeros",
    offsets: Offsets | None = None,
) -> Tensor:
    """Return the sum over each pixel's window, weighted by its own kernel: ``(N, C, scale·h, scale·w)``.

    Args:
        features: ``(N, C, h, w)``.
        kernels: ``(N, g·k², scale·h, scale·w)``.
        kernel_size: k, odd.
        groups: g, which divides C.
        scale: Between the two sizes, 1 or more.
        border: What the windows read beyond the map; ``"reflect"``: the cells on the other side of the border's.
        offsets: Which cells of the window have a weight, in the place of all k².
    """
    taps = kernel_size**2 if offsets is None else len(offsets)
    weights = in_cells(kernels.to(features.dtype), scale).unflatten(1, (groups, taps))
    weights = weights.permute(0, 3, 4, 1, 5, 6, 2).reshape(-1, scale**2, taps)
    # One small matrix product for each cell and group: (m, k²) by (k², C / g).
    y = torch.bmm(weights, windows(features, kernel_size, groups, border, offsets))
    return _as_map(y, features, groups, (scale, scale))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int = 1,
    scale: int | None = None,
    border: Border = "shift",
    taken: Tensor | None = None,
    average: bool = False,
) -> Tensor:
    """Return neighbourhood attention: for each query the sum of the values in its window by softmax of ⟨query, key⟩.

    Args:
        query: ``(N, D, H, W)``, the D channels head after head.
        key: ``(N, D, h, w)``.
        value: ``(N, C, h, w)``, the C channels head after head.
        kernel_size: k, odd. ``border="shift"`` takes min(k, h) rows and min(k, w) columns.
        heads: Divides C and D.
        scale: H = scale·h and W = scale·w, and the cell of row i is ⌊i/scale⌋. None: any H and W, and the cell of row i
            is ⌊(2i + 1)·h/2H⌋, the same where h divides H.
        border: What the windows read beyond the map; zeros take part in the softmax.
        taken: Which cells of its window each pixel attends to, ``(h·w, m, k²)``; by default all.
        average: Whether the weights of the heads are averaged and then applied to all channels, which have no heads.

    Returns:
        ``(N, C, H, W)`` in the memory format of ``value``.

    >>> value = torch.tensor([[[[0.0, 10.0, 20.0]]]])
    >>> attend(torch.zeros(1, 1, 1, 6), torch.zeros(1, 1, 1, 3), value, kernel_size=1).tolist()
    [[[[0.0, 0.0, 10.0, 10.0, 20.0, 20.0]]]]
    >>> attend(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 3), value, kernel_size=3)[0, 0, 0].round().tolist()
    [10.0, 10.0, 10.0, 10.0]
    """
    size, low = (query.shape[-2], query.shape[-1]), (key.shape[-2], key.shape[-1])
    scales = (scale, scale) if scale is not None else pixels_in_cell(low, size)
    grid = query if scale is not None else to_grid(query, low)
    cells = in_cells(grid, scales).unflatten(1, (heads, -1)).permute(0, 3, 4, 1, 5, 6, 2)
    cells = cells.reshape(-1, scales[0] * scales[1], query.shape[1] // heads)
    logits = torch.bmm(cells, windows(key, kernel_size, heads, border).transpose(1, 2))
    if taken is not None:  # by pixel; of all windows the same cells lie beyond a small map
        hidden = ~taken.unsqueeze(1)
        logits = logits.unflatten(0, (-1, low[0] * low[1], heads)).masked_fill(hidden, -torch.inf).flatten(0, 2)
    elif (inside := window_mask(low, kernel_size, border, query.device)) is not None:
        logits = logits.masked_fill(~inside, -torch.inf)
    weights = logits.softmax(dim=-1).to(value.dtype)
    if average:
        weights, heads = weights.unflatten(0, (-1, heads)).mean(1), 1
    y = torch.bmm(weights, windows(value, kernel_size, heads, border))
    whole = _as_map(y, value, heads, scales)
    return whole if scale is not None else from_grid(whole, low, size)


def windows(
    x: Tensor,
    kernel_size: int,
    groups: int = 1,
    border: Border | Literal["reflect"] = "zeros",
    offsets: Offsets | None = None,
) -> Tensor:
    """Return the window of every cell of ``(N, C, h, w)``: ``(N·h·w·g, k², C / g)``, row by row.

    Slices that are stacked once: on a CPU this is several times as fast as F.unfold, forward and backward. The map is
    extended first, so that all slices are of one size. A window that shifts inwards reads the cells on its other side:
    its order differs, its cells do not.
    """
    count, channels, height, width = x.shape
    edge = kernel_size // 2
    last = x.permute(0, 2, 3, 1)
    if border == "reflect":
        last = reflect(x, edge).permute(0, 2, 3, 1)
    elif border == "zeros":
        last = F.pad(last, (0, 0, edge, edge, edge, edge))
    else:
        for axis in (1, 2):
            last = last.index_select(axis, _places(last.shape[axis], kernel_size, border, x.device))
    last = last.reshape(count, height + 2 * edge, width + 2 * edge, groups, channels // groups)
    places = [(row + edge, column + edge) for row, column in offsets or _whole(kernel_size)]
    slices = [last[:, row : row + height, column : column + width] for row, column in places]
    return torch.stack(slices, dim=4).reshape(count * height * width * groups, len(places), channels // groups)


def _whole(kernel_size: int) -> Offsets:
    """Return the offsets of a whole window, row by row."""
    return list(itertools.product(range(-(kernel_size // 2), kernel_size // 2 + 1), repeat=2))


def window_mask(low: tuple[int, int], kernel_size: int, border: Border, device: torch.device) -> Tensor | None:
    """Return which of the k² cells count, ``(k²,)``, or None where all do: a window larger than the map repeats some.

    In a traced program, where sizes are symbols, there is always a mask.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if border != "shift" or (not traced and min(low) >= kernel_size):
        return None
    offset = torch.arange(kernel_size, device=device) - kernel_size // 2
    taken = [_taken(size, kernel_size, device) for size in low]
    rows, columns = ((offset >= -(number // 2)) & (offset < number - number // 2) for number in taken)
    return (rows.unsqueeze(1) & columns).flatten()


def _places(size: int, kernel_size: int, border: Border, device: torch.device) -> Tensor:
    """Return which cell stands at each place of an axis that is extended by ``kernel_size // 2`` on both sides."""
    edge = kernel_size // 2
    place = torch.arange(size + 2 * edge, device=device) - edge
    if border == "shift":
        taken = _taken(size, kernel_size, device)
        place = torch.where(place < 0, place + taken, torch.where(place >= size, place - taken, place))
    return place.clamp(min=0, max=size - 1)


def _taken(size: int, kernel_size: int, device: torch.device) -> Tensor:
    """Return min(kernel_size, size) as a tensor: in a traced program a comparison of sizes would be a guard."""
    return (torch.arange(size, device=device)[-1:] + 1).clamp(max=kernel_size)


def _as_map(y: Tensor, like: Tensor, groups: int, scales: tuple[int, int]) -> Tensor:
    """Return ``(N·h·w·g, m, C / g)`` as the map ``(N, C, H, W)`` that it is, in the memory format of ``like``."""
    count, channels, height, width = like.shape
    y = y.reshape(count, height, width, groups, *scales, channels // groups)
    if is_channels_last(like):
        y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, scales[0] * height, scales[1] * width, channels)
        return y.permute(0, 3, 1, 2)
    return y.permute(0, 3, 6, 1, 4, 2, 5).reshape(count, channels, scales[0] * height, scales[1] * width)
