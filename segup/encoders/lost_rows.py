"""Rows that convolutions without padding lose: put back at the borders of a map, so that a step reaches the next."""

from collections.abc import Sequence
from math import lcm

import torch.nn.functional as F
from torch import Tensor

from segup.inspection.periodic import PeriodicMap


def rows_put_back(size: int, maps: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of the maps of an image of ``size`` with the rows that convolutions without padding lost.

    A map has at least as many rows as a step of its factor can bring back: the rows above it, divided by the factor
    and rounded down.

    >>> rows_put_back(299, [147, 71, 35, 17, 8], [2, 4, 8, 16, 32])
    (149, 74, 37, 18, 9)
    """
    found = []
    above, stride_above = size, 1
    for rows, stride in zip(maps, strides, strict=True):
        above, stride_above = max(rows, above // (stride // stride_above)), stride
        found.append(above)
    return tuple(found)


def functions_put_back(functions: Sequence[PeriodicMap], strides: Sequence[int]) -> tuple[PeriodicMap, ...]:
    """Return :func:`rows_put_back` for maps whose sizes are known as functions of the image's."""
    period = lcm(*(one.period for one in functions))
    rows = [rows_put_back(n, [one(n) for one in functions], strides) for n in range(period)]
    return tuple(
        PeriodicMap.of(period // s, values) for s, values in zip(strides, zip(*rows, strict=True), strict=True)
    )


def with_rows_put_back(image: Tensor, maps: Sequence[Tensor], strides: Sequence[int]) -> list[Tensor]:
    """Return the maps of ``image`` with the sizes of :func:`rows_put_back`, their borders repeated on both sides."""
    rows, columns = (rows_put_back(image.shape[i], [one.shape[i] for one in maps], strides) for i in (-2, -1))
    grown = []
    for one, height, width in zip(maps, rows, columns, strict=True):
        tall, wide = height - one.shape[-2], width - one.shape[-1]
        grown.append(F.pad(one, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2), mode="replicate"))
    return grown
