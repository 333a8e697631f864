"""A map at ``scale`` times a resolution, taken apart into the cells of the low-resolution pixels."""

import torch
from torch import Tensor


def in_cells(y: Tensor, scale: int) -> Tensor:
    """Return ``(N, C, scale·h, scale·w)`` as a view ``(N, C, h, w, scale, scale)``.

    Splitting an axis into ``h × scale`` makes torch.export ask for a proof that ``h`` divides ``scale·h``, which it
    does not find where ``h`` is itself a quotient; windows as large as their step are the same view, without the
    question. Their gradient is slower, so that eager mode splits.

    >>> in_cells(torch.arange(8).reshape(1, 1, 2, 4), scale=2).flatten(-2).tolist()
    [[[[[0, 1, 4, 5], [2, 3, 6, 7]]]]]
    """
    if torch.compiler.is_exporting():
        return y.unfold(2, scale, scale).unfold(3, scale, scale)
    return y.unflatten(3, (-1, scale)).unflatten(2, (-1, scale)).transpose(3, 4)
