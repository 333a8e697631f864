"""The memory layout of a map, so that what is computed from it comes out in the same one."""

from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Return whether the channels of each pixel are neighbours in memory, as torch.channels_last lays a map out.

    A map from which rows or columns were cut is still laid out so; one that is contiguous in either way counts as
    contiguous. The strides are asked for because torch.func.vmap does not answer is_contiguous(memory_format=...).

    >>> import torch
    >>> x = torch.zeros(1, 2, 4, 4)
    >>> last = x.contiguous(memory_format=torch.channels_last)
    >>> is_channels_last(x), is_channels_last(last), is_channels_last(last[..., :3, :]), is_channels_last(x[..., :3, :])
    (False, True, True, False)
    """
    return not x.is_contiguous() and x.stride(1) == 1
