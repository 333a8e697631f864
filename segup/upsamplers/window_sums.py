"""A weighted sum over the window of a cell, which carafe, fade, sapa and the operators guided by an image share.

Each pixel of the result belongs to one cell, so that windows are gathered once at low resolution
(:mod:`segup.upsamplers.windows`, which has the words and the endings of names), and all pixels of a cell are one small
matrix product. Where a cell has few pixels, attention takes squares of (k − 1)² cells at once and hides what is not in
a pixel's own window: more products, of which a CPU makes many more at a time, and far fewer copies.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from segup.symbols import is_exporting
from segup.upsamplers.cells import from_grid, in_cells, pixels_in_cell, to_grid
from segup.upsamplers.fitting import without_gaps
from segup.upsamplers.layout import is_channels_last
from segup.upsamplers.windows import (
    AnyBorder,
    Border,
    Offsets,
    extended,
    in_squares,
    is_traced,
    squares_with_edges,
    window_mask,
    windows,
)

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
    taps, tile = kernel_size**2 if offsets is None else len(offsets), _rows_at_once(tile)

    def part(rows: slice) -> Tensor:
        near = extended(features, kernel_size, border, _read_by(rows, 1, kernel_size) if tile else None)
        of_rows = kernels[:, :, rows.start * scale : rows.stop * scale] if tile else kernels
        weights = in_cells(of_rows.to(features.dtype), scale).unflatten(1, (groups, taps))
        weights_bmk = weights.permute(0, 3, 4, 1, 5, 6, 2).reshape(-1, scale**2, taps)
        y_bmc = torch.bmm(weights_bmk, windows(near, kernel_size, groups, offsets))
        return _as_map(y_bmc, features, (rows.stop - rows.start, features.shape[3]), groups, (scale, scale))

    return _by_rows(part, features.shape[-2], scale, tile)


def reassemble_cells(
    features: Tensor, weights_bmk: Tensor, kernel_size: int, groups: int, scale: int, border: Border
) -> Tensor:
    """Return what :func:`reassemble` does, from weights that are already in cells: ``(N·h·w·g, scale², k²)``."""
    cells = (features.shape[2], features.shape[3])
    near_bkc = windows(extended(features, kernel_size, border), kernel_size, groups)
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
    size, low, tile = (query.shape[-2], query.shape[-1]), (key.shape[-2], key.shape[-1]), _rows_at_once(tile)
    scales = (scale, scale) if scale is not None else pixels_in_cell(low, size)
    grid = query if scale is not None else to_grid(query, low)
    inside = window_mask(low, kernel_size, border, query.device)
    groups = 1 if average else heads
    near: Callable[[Tensor, int, int], Tensor] = windows
    (rows, columns), side, more, right = low, 1, (0, 0), 0
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
        scales, right = (side * scales[0], side * scales[1]), more[1] * scales[1]

    def part(of: slice) -> Tensor:
        read = _read_by(of, side, kernel_size) if tile else None
        of_rows = grid[:, :, of.start * scales[0] : of.stop * scales[0]] if tile else grid
        if any(more):
            below = (of.stop - of.start) * scales[0] - of_rows.shape[2]
            of_rows = F.pad(of_rows.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below)).permute(0, 3, 1, 2)
        cells = in_cells(of_rows, scales).unflatten(1, (heads, -1)).permute(0, 3, 4, 1, 5, 6, 2)
        cells_bmc = cells.reshape(-1, scales[0] * scales[1], query.shape[1] // heads)
        keys_bck = near(extended(key, kernel_size, border, read, more), kernel_size, heads).transpose(1, 2)
        # what is added or hidden is the same for all cells, or for all squares of cells, or is given by pixel
        logits_bmk = torch.bmm(cells_bmc, keys_bck) if added is None else torch.baddbmm(added, cells_bmc, keys_bck)
        if taken is not None:
            far = ~taken[of.start * low[1] : of.stop * low[1]].unsqueeze(1)
            logits_bmk = logits_bmk.unflatten(0, (-1, len(far), heads)).masked_fill(far, -torch.inf).flatten(0, 2)
        weights_bmk = logits_bmk.softmax(dim=-1).to(value.dtype)
        weights_bmk = weights_bmk.unflatten(0, (-1, heads)).mean(1) if average else weights_bmk
        y_bmc = torch.bmm(weights_bmk, near(extended(value, kernel_size, border, read, more), kernel_size, groups))
        return _as_map(y_bmc, value, (of.stop - of.start, columns), groups, scales)

    whole = _by_rows(part, rows, scales[0], tile, (grid.shape[-2], grid.shape[-1]) if any(more) else None)
    return whole if scale is not None else from_grid(whole, low, size)


def _rows_at_once(tile: int | None) -> int | None:
    """Return ``tile``; None, for all rows, in a program for all sizes: the number of its tiles would be a constant."""
    return None if is_exporting() or torch.jit.is_tracing() else tile


def _by_rows(
    part: Callable[[slice], Tensor], cells: int, scale: int, tile: int | None, size: tuple[int, int] | None = None
) -> Tensor:
    """Return what ``part`` makes of all rows of cells: at once, or at most ``tile`` rows of the result at a time.

    A ``size`` cuts the result, which is then made of cells beyond its end.
    """
    at_once = cells if tile is None else max(tile // scale, 1)
    if tile is None or at_once >= cells:
        y = part(slice(0, cells))
        return y if size is None else without_gaps(y[:, :, : size[0], : size[1]])
    whole: Tensor | None = None
    for start in range(0, cells, at_once):
        rows = slice(start, min(start + at_once, cells))
        y = part(rows)
        if whole is None:
            layout = torch.channels_last if is_channels_last(y) else torch.contiguous_format
            shape = (*y.shape[:2], *(size or (cells * scale, y.shape[3])))
            whole = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=layout)
        own = whole[:, :, rows.start * scale : rows.stop * scale]
        own.copy_(y[:, :, : own.shape[2], : own.shape[3]])
    assert whole is not None
    return whole


def _read_by(rows: slice, side: int, kernel_size: int) -> slice:
    """Return the rows of an extended map that are read for these rows of cells, or of squares of so many rows."""
    return slice(rows.start * side, rows.stop * side + 2 * (kernel_size // 2))


def _as_map(y_bmc: Tensor, like: Tensor, cells: tuple[int, int], groups: int, scales: tuple[int, int]) -> Tensor:
    """Return ``(N·h·w·g, m, C / g)`` as the map ``(N, C, H, W)`` that it is, in the memory format of ``like``.

    An exported program has no memory formats; two permutations that keep the channels together are faster there.
    """
    (count, channels), (height, width) = like.shape[:2], cells
    y = y_bmc.reshape(count, height, width, groups, *scales, channels // groups)
    if is_channels_last(like) or is_exporting():
        y = y.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, scales[0] * height, scales[1] * width, channels)
        return y.permute(0, 3, 1, 2)
    return y.permute(0, 3, 6, 1, 4, 2, 5).reshape(count, channels, scales[0] * height, scales[1] * width)
