"""Statements about sizes that may be symbols of a traced program."""

import torch


def is_exporting() -> bool:
    """Return whether a program is being made by ``torch.export``.

    In programs of ``torch.compile``, ``torch.compiler.is_exporting`` is True up to torch 2.13
    (https://github.com/pytorch/pytorch/issues/176347); the flag behind it is right in all.

    >>> is_exporting()
    False
    """
    return torch.compiler._is_exporting_flag


def known(truth: bool) -> bool:
    """Return whether a statement about sizes holds for all inputs, without a guard that would make it so.

    >>> known(3 == 3)
    True
    """
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return not torch.jit.is_tracing() and statically_known_true(truth)


def known_equal(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes (height, width) are :func:`known` to be the same.

    >>> known_equal((3, 4), (3, 5))
    False
    """
    return known(one[0] == other[0]) and known(one[1] == other[1])
