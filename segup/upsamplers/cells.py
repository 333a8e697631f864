"""A high-resolution map, taken apart into the cells of the low-resolution pixels."""

import torch
from torch import Tensor

from segup.symbols import is_exporting

Size = tuple[int, int]


def in_cells(y: Tensor, scale: int | Size) -> Tensor:
    """Return ``(N, C, scale·h, scale·w)`` as a view ``(N, C, h, w, scale, scale)``; a pair of scales is down, across.

    Splitting an axis into ``h × scale`` makes torch.export ask for a proof that ``h`` divides ``scale·h``, which it
    does not find where ``h`` is itself a quotient; windows as large as their step are the same view, without the
    question. Their gradient is slower, so that eager mode splits.

    >>> in_cells(torch.arange(8).reshape(1, 1, 2, 4), scale=2).flatten(-2).tolist()
    [[[[[0, 1, 4, 5], [2, 3, 6, 7]]]]]
    """
    down, across = (scale, scale) if isinstance(scale, int) else scale
    if is_exporting():
        return y.unfold(2, down, down).unfold(3, across, across)
    return y.unflatten(3, (-1, across)).unflatten(2, (-1, down)).transpose(3, 4)


def cell_of(cells: int, pixels: int, device: torch.device) -> Tensor:
    """Return the cell ⌊(2i + 1)·cells/(2·pixels)⌋ of each pixel of an axis.

    >>> cell_of(3, 5, torch.device("cpu")).tolist()
    [0, 0, 1, 2, 2]
    """
    return torch.div((2 * torch.arange(pixels, device=device) + 1) * cells, 2 * pixels, rounding_mode="floor")


def pixels_in_cell(low: Size, high: Size) -> Size:
    """Return the most rows and columns that one cell has between two sizes: ⌈H/h⌉, ⌈W/w⌉."""
    return -(-high[0] // low[0]), -(-high[1] // low[1])


def to_grid(y: Tensor, low: Size) -> Tensor:
    """Return a map of any size on a grid where all cells have as many rows and columns: shorter cells repeat one.

    Row i of H belongs to cell ⌊(2i + 1)·h/2H⌋ of h. Where h divides H, that is the map as it is.

    >>> to_grid(torch.arange(5.0).reshape(1, 1, 1, 5), low=(1, 3)).flatten().tolist()
    [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]
    """
    for axis, cells in ((-2, low[0]), (-1, low[1])):
        size = y.shape[axis]
        if size % cells:
            first = _first_rows(cells + 1, cells, size, y.device)
            row = torch.arange(-(-size // cells), device=y.device)
            row = torch.minimum(first[:-1, None] + row, torch.maximum(first[1:], first[:-1] + 1)[:, None] - 1)
            y = y.index_select(axis, row.flatten().clamp(max=size - 1))
    return y


def from_grid(y: Tensor, low: Size, size: Size) -> Tensor:
    """Return what :func:`to_grid` made of a map of ``size`` at that size.

    >>> from_grid(torch.tensor([[[[0.0, 1.0, 2.0, 2.0, 3.0, 4.0]]]]), low=(1, 3), size=(1, 5)).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    for axis, cells, pixels in ((-2, low[0], size[0]), (-1, low[1], size[1])):
        if pixels % cells:
            row = torch.arange(pixels, device=y.device)
            cell = cell_of(cells, pixels, y.device)
            first = _first_rows(cells, cells, pixels, y.device)
            y = y.index_select(axis, cell * -(-pixels // cells) + row - first[cell])
    return y


def _first_rows(count: int, cells: int, size: int, device: torch.device) -> Tensor:
    """Return the first row of each of the first ``count`` cells: the least i with (2i + 1)·cells ≥ 2·size·cell."""
    cell = torch.arange(count, device=device)
    return torch.div(2 * size * cell + cells - 1, 2 * cells, rounding_mode="floor")
