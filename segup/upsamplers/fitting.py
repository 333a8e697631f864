"""Bringing a map to a size by cutting or repeating its last row and column, in eager mode and in traced programs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segup.errors import ShapeError
from segup.symbols import is_exporting, known

Size = tuple[int, int]


def fit_to(y: Tensor, size: Size, most: int | None = None) -> Tensor:
    """Cut ``y`` at the bottom and right, or repeat its last row and column, so that it has ``size``.

    Args:
        y: ``(N, C, H, W)``.
        size: Height and width of the result.
        most: A bound on the rows and columns to repeat. With it, torch.compile and torch.jit.trace make one program for
            all sizes, without branches; torch.export does so in any case. Eager mode branches, and copies only what it
            must.

    >>> fit_to(torch.arange(4.0).reshape(1, 1, 2, 2), (3, 1)).flatten().tolist()
    [0.0, 2.0, 2.0]
    """
    if not hasattr(y, "new_zeros") or y.dim() != 4 or not isinstance(size, tuple | list) or len(size) != 2:
        given = f"{type(y).__name__} of {y.dim()} dimensions" if hasattr(y, "dim") else type(y).__name__
        raise ShapeError(
            f"fit_to takes maps (N, C, H, W) and (height, width), not {given} and {size!r}\n  try: fit_to(y, (32, 32))"
        )
    rows, columns = size[0] - y.shape[-2], size[1] - y.shape[-1]
    if is_exporting():  # "replicate" cuts what is below 0, so that one program serves all sizes
        return y if known(rows == 0) and known(columns == 0) else F.pad(y, (0, columns, 0, rows), mode="replicate")
    if most is not None and (torch.compiler.is_compiling() or torch.jit.is_tracing()):
        # Extended by a constant and then cut by what is too much, so that neither step depends on a sign.
        y = y if known(rows == 0) else F.pad(_repeat_last(y, most, -2), (0, 0, 0, rows - most))
        return y if known(columns == 0) else F.pad(_repeat_last(y, most, -1), (0, columns - most))
    y = y[..., : size[0], : size[1]] if rows < 0 or columns < 0 else y
    y = _repeat_last(y, rows, -2) if rows > 0 else y
    return _repeat_last(y, columns, -1) if columns > 0 else y


def without_gaps(y: Tensor) -> Tensor:
    """Return ``y``, copied if it is a view with gaps, as a map is from which rows or columns were cut.

    On such a view torch's BatchNorm is several times slower than on the copy.

    >>> y = torch.zeros(1, 2, 4, 6)
    >>> without_gaps(y) is y, without_gaps(y[..., :3, :5]).is_contiguous()
    (True, True)
    """
    if torch.compiler.is_compiling() or any(
        y.is_contiguous(memory_format=layout) for layout in (torch.contiguous_format, torch.channels_last)
    ):
        return y
    return y.clone()


def refuse_below_zero(number: int, message: str) -> None:
    """Let the program that torch.export traces refuse to run, with ``message``, where ``number`` is below 0.

    A branch on a symbolic size would become a guard, which torch.export has to prove for all sizes and cannot; an
    assertion about a tensor is checked when the program runs.
    """
    if not known(number >= 0):
        held = torch.scalar_tensor(number, dtype=torch.int64, device="cpu") >= 0
        torch.ops.aten._assert_async.msg(held, message)


def _repeat_last(y: Tensor, times: int, dim: int) -> Tensor:
    """Repeat the last row or column: as F.pad's "replicate", whose gradient is not deterministic on CUDA."""
    shape = [-1, -1, -1, -1]
    shape[dim] = times
    # Selected, not sliced: torch.export cannot see that a slice from a symbol to its end has one row.
    return torch.cat((y, y.select(dim, -1).unsqueeze(dim).expand(shape)), dim)
