"""A weighted sum over the window of a cell, which carafe, fade, sapa and the operators guided by an image share.

A cell is a pixel of the low-resolution map; its window is the ``kernel_size²`` cells around it. Each pixel of the
result belongs to one cell, so that windows are gathered once at low resolution, and all pixels of a cell are one small
matrix product. Where a cell has few pixels, attention takes squares of (k − 1)² cells at once and hides what is not in
a pixel's own window: more products, of which a CPU makes many more at a time, and far fewer copies.

Shapes: N images, C channels in g groups, h·w cells, m pixels in a cell, k² cells in a window. The ending of a name is
the order of its axes: ``x_nhwc`` has its channels last, ``x_nhwgc`` has them in groups. ``x_bmk`` is a batch of small
matrices, one for each of the b = N·h·w·g cells and groups: m pixels by k² cells; ``x_bkc`` k² cells by C/g channels.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from segup.upsamplers.cells import from_grid, in_cells, pixels_in_cell, to_grid
from segup.upsamplers.fitting import without_gaps
from segup.upsamplers.layout import is_channels_last
from segup.upsamplers.pooling import reflect

Border = Literal["zeros", "replicate", "shift"]
"""What windows read beyond the map: zeros; the nearest cell; or nothing, since they shift inwards."""
AnyBorder = Border | Literal["reflect"]
"""The same, or the cells on the other side of the border's."""
Offsets = Sequence[tuple[int, int]]
"""Which cells of a window count, as (row, column) from its own cell."""
FEW_PIXELS = 4
"""Of a cell, up to which attention takes squares of cells at once."""


def reassemble(
    features: Tensor,
    kernels: Tensor,
    kernel_size: int,
    groups: int = 1,
    scale: int = 2,
    border: AnyBorder = "zeros",
    offsets: Offsets | None = None,
    tile: int | None = None,
) -> Tensor:
    """Return the sum over each pixel's window, weighted by its own kernel: ``(N, C, scale·h, scale·w)``.

    Args:
        features: ``(N, C, h, w)``.
        kernels: ``(N, g·k², scale·h, scale·w)``.
        kernel_size: k, odd.
        groups: g, which divides C.
        scale: Between the two sizes, 1 or more.
        border: What the windows read beyond the map.
        offsets: Which cells of the window have a weight, in the place of all k².
        tile: How many rows of the result are made at once; by default all.
    """
    taps = kernel_size**2 if offsets is None else len(offsets)
    extend = _once_if(tile, lambda x: extended(x, kernel_size, border))

    def part(rows: slice) -> Tensor:
        of_rows = kernels[:, :, rows.start * scale : rows.stop * scale] if tile else kernels
        weights = in_cells(of_rows.to(features.dtype), scale).unflatten(1, (groups, taps))
        weights_bmk = weights.permute(0, 3, 4, 1, 5, 6, 2).reshape(-1, scale**2, taps)
        y_bmc = torch.bmm(weights_bmk, windows(extend(features), rows, kernel_size, groups, offsets))
        return _as_map(y_bmc, features, (rows.stop - rows.start, features.shape[3]), groups, (scale, scale))

    return _by_rows(part, features.shape[-2], scale, tile)


def reassemble_cells(
    features: Tensor, weights_bmk: Tensor, kernel_size: int, groups: int, scale: int, border: Border
) -> Tensor:
    """Return what :func:`reassemble` does, from weights that are already in cells: ``(N·h·w·g, scale², k²)``."""
    cells = (features.shape[2], features.shape[3])
    near_bkc = windows(extended(features, kernel_size, border), slice(0, cells[0]), kernel_size, groups)
    return _as_map(torch.bmm(weights_bmk, near_bkc), features, cells, groups, (scale, scale))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int = 1,
    scale: int | None = None,
    border: AnyBorder = "shift",
    taken: Tensor | None = None,
    average: bool = False,
    tile: int | None = None,
    bias: Tensor | None = None,
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
        tile: How many rows of the result are made at once; by default all.
        bias: What is added to the ⟨query, key⟩ of each cell of the window, ``(k²,)``; by default nothing.

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
    inside = window_mask(low, kernel_size, border, query.device)
    groups = 1 if average else heads
    near: Callable[[Tensor, slice, int, int], Tensor] = windows
    (rows, columns), more = low, (0, 0)
    made = (grid.shape[-2], grid.shape[-1])
    few = kernel_size > 1 and scales[0] * scales[1] <= FEW_PIXELS
    counted = is_traced() or is_in_torch_dispatch_mode()  # FlopCounterMode should not count what is hidden
    added = None if bias is None else bias.to(query.dtype)
    if inside is not None:
        none = query.new_zeros(kernel_size**2) if added is None else added
        added = none.masked_fill(~inside, -torch.inf)
    if few and taken is None and inside is None and not counted:  # from here on, a cell is a square
        side, near = kernel_size - 1, squares_with_edges
        added = in_squares(query.new_zeros(kernel_size**2) if added is None else added, scales)
        more = (-low[0] % side, -low[1] % side)
        rows, columns = (low[0] + more[0]) // side, (low[1] + more[1]) // side
        grid = _longer(grid.permute(0, 2, 3, 1), (more[0] * scales[0], more[1] * scales[1])).permute(0, 3, 1, 2)
        scales = (side * scales[0], side * scales[1])
    extend = _once_if(tile, lambda x: _longer(extended(x, kernel_size, border), more))

    def part(of: slice) -> Tensor:
        of_rows = grid[:, :, of.start * scales[0] : of.stop * scales[0]] if tile else grid
        cells = in_cells(of_rows, scales).unflatten(1, (heads, -1)).permute(0, 3, 4, 1, 5, 6, 2)
        cells_bmc = cells.reshape(-1, scales[0] * scales[1], query.shape[1] // heads)
        keys_bck = near(extend(key), of, kernel_size, heads).transpose(1, 2)
        # what is added or hidden is the same for all cells, or for all squares of cells, or is given by pixel
        logits_bmk = torch.bmm(cells_bmc, keys_bck) if added is None else torch.baddbmm(added, cells_bmc, keys_bck)
        if taken is not None:
            far = ~taken[of.start * low[1] : of.stop * low[1]].unsqueeze(1)
            logits_bmk = logits_bmk.unflatten(0, (-1, len(far), heads)).masked_fill(far, -torch.inf).flatten(0, 2)
        weights_bmk = logits_bmk.softmax(dim=-1).to(value.dtype)
        weights_bmk = weights_bmk.unflatten(0, (-1, heads)).mean(1) if average else weights_bmk
        y_bmc = torch.bmm(weights_bmk, near(extend(value), of, kernel_size, groups))
        return _as_map(y_bmc, value, (of.stop - of.start, columns), groups, scales)

    whole = _by_rows(part, rows, scales[0], tile)
    whole = whole if near is windows else without_gaps(whole[:, :, : made[0], : made[1]])
    return whole if scale is not None else from_grid(whole, low, size)


def _by_rows(part: Callable[[slice], Tensor], cells: int, scale: int, tile: int | None) -> Tensor:
    """Return what ``part`` makes of all rows of cells: at once, or at most ``tile`` rows of the result at a time."""
    at_once = cells if tile is None else max(tile // scale, 1)
    if tile is None or at_once >= cells:
        return part(slice(0, cells))
    first = part(slice(0, at_once))
    shape = (*first.shape[:2], cells * scale, first.shape[3])
    layout = torch.channels_last if is_channels_last(first) else torch.contiguous_format
    whole = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=layout)
    whole[:, :, : at_once * scale] = first
    for start in range(at_once, cells, at_once):
        rows = slice(start, min(start + at_once, cells))
        whole[:, :, rows.start * scale : rows.stop * scale] = part(rows)
    return whole


def _once_if(tile: int | None, extend: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return ``extend``, which keeps what it made for the next rows; if there are none, nothing is held."""
    made: dict[int, Tensor] = {}

    def kept(x: Tensor) -> Tensor:
        if id(x) not in made:
            made[id(x)] = extend(x)
        return made[id(x)]

    return extend if tile is None else kept


def extended(x: Tensor, kernel_size: int, border: AnyBorder) -> Tensor:
    """Return the map that all windows read: ``(N, h + 2e, w + 2e, C)`` with e = ``kernel_size // 2``.

    A window that shifts inwards reads the cells on its other side: its order differs, its cells do not.
    """
    edge = kernel_size // 2
    if border == "reflect":
        return reflect(x, edge).permute(0, 2, 3, 1)
    x_nhwc = x.permute(0, 2, 3, 1)
    if border == "zeros":
        return F.pad(x_nhwc, (0, 0, edge, edge, edge, edge))
    for axis in (1, 2):
        x_nhwc = x_nhwc.index_select(axis, _places(x_nhwc.shape[axis], kernel_size, border, x.device))
    return x_nhwc


def windows(
    whole_nhwc: Tensor, rows: slice, kernel_size: int, groups: int = 1, offsets: Offsets | None = None
) -> Tensor:
    """Return the windows of these rows of cells of an :func:`extended` map: ``(N·h·w·g, k², C / g)``, row by row.

    On a CPU rows of a table, which F.embedding reads: its gradient adds whole rows, in half the time of that of slices.
    An exported program does the same: onnxruntime copies each slice, and then all of them once more. Elsewhere slices
    that are stacked once.
    """
    edge = kernel_size // 2
    count, whole, columns, channels = whole_nhwc.shape
    start, height, width = rows.start, rows.stop - rows.start, columns - 2 * edge
    places = [(row + edge, column + edge) for row, column in offsets or _whole(kernel_size)]
    if torch.compiler.is_exporting() or (whole_nhwc.is_cpu and not is_traced()):
        image, row, column, group = (torch.arange(n, device=whole_nhwc.device) for n in (count, height, width, groups))
        down, across = torch.tensor(places, device=whole_nhwc.device).unbind(1)
        row_nhk = image[:, None, None] * whole + start + row[:, None] + down
        cell_nhwk = row_nhk.unsqueeze(2) * columns + column[:, None] + across
        index_nhwgk = cell_nhwk.unsqueeze(3) * groups + group[:, None]
        return F.embedding(index_nhwgk.flatten(0, 3), whole_nhwc.reshape(-1, channels // groups))
    whole_nhwgc = whole_nhwc.reshape(*whole_nhwc.shape[:3], groups, channels // groups)
    slices = [whole_nhwgc[:, start + row : start + row + height, column : column + width] for row, column in places]
    return torch.stack(slices, dim=4).reshape(count * height * width * groups, len(places), channels // groups)


def squares_with_edges(whole_nhwc: Tensor, rows: slice, kernel_size: int, groups: int = 1) -> Tensor:
    """Return the cells that squares of (k − 1)² cells read, of these rows of squares of an :func:`extended` map.

    ``(N·squares·g, (2k − 2)², C / g)``: a square and the three right of it and below, since what is read reaches
    (k − 1)/2 cells beyond the square on each side.
    """
    side = kernel_size - 1
    count, _, columns, channels = whole_nhwc.shape
    height, width = rows.stop - rows.start, columns // side - 1
    squares = whole_nhwc.unflatten(3, (groups, -1)).unflatten(2, (-1, side)).unflatten(1, (-1, side))
    parts = [
        squares[:, rows.start + down : rows.stop + down, :, across : across + width].permute(0, 1, 3, 5, 2, 4, 6)
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


def _longer(x_nhwc: Tensor, more: tuple[int, int]) -> Tensor:
    """Return ``(N, H, W, C)`` with so many rows and columns of zeros more."""
    return F.pad(x_nhwc, (0, 0, 0, more[1], 0, more[0])) if any(more) else x_nhwc


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


def _as_map(y_bmc: Tensor, like: Tensor, cells: tuple[int, int], groups: int, scales: tuple[int, int]) -> Tensor:
    """Return ``(N·h·w·g, m, C / g)`` as the map ``(N, C, H, W)`` that it is, in the memory format of ``like``.

    An exported program has no memory formats; two permutations that keep the channels together are faster there.
    """
    (count, channels), (height, width) = like.shape[:2], cells
    y = y_bmc.reshape(count, height, width, groups, *scales, channels // groups)
    if is_channels_last(like) or torch.compiler.is_exporting():
        y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, scales[0] * height, scales[1] * width, channels)
        return y.permute(0, 3, 1, 2)
    return y.permute(0, 3, 6, 1, 4, 2, 5).reshape(count, channels, scales[0] * height, scales[1] * width)
