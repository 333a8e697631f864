# ruff: noqa: ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that make new tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, check_ints, tensors_in, unpacked
from segup.inspection.traced import Dim, as_int


def created(sizes: Sizes, *shape: Any, **kwargs: Any) -> Shape:
    """Return the shape of a new tensor: ``torch.zeros(2, 3)`` and ``x.new_zeros((2, 3))``."""
    sizes.any_will_do(tensors_in(shape))  # of which a new one takes its type
    shape = tuple(part for part in shape if not isinstance(part, Tensor)) or (kwargs.get("size", ()),)
    wanted = unpacked(shape)
    check_ints(*wanted)
    return tuple(counted_rows(sizes, dim) for dim in wanted)


def filled(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.full(size, value)``; in four bytes any size fits as a value."""
    if kwargs.get("dtype", torch.float32).itemsize >= 4:
        sizes.any_will_do((*args[-1:], *kwargs.values()))
    given = [kwargs["size"]] if "size" in kwargs else [part for part in args if not isinstance(part, Tensor)][:1]
    return created(sizes, *tensors_in(args), *given)


def counted(sizes: Sizes, start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Shape:
    """Return the length of ``torch.arange`` in steps of 1."""
    low, high = (0, start) if end is None else (start, end)
    check_ints(low, high)
    if type(step) is not int or step != 1:
        raise NoRuleError
    return (counted_rows(sizes, high - low),)


def counted_rows(sizes: Sizes, count: Dim) -> Dim:
    """Return a number of rows that is asked for, which cannot be below 0."""
    sizes.require(count, ">=", 0, f"a map of {as_int(count)} rows is asked for")
    return count


def spaced(sizes: Sizes, start: Any, end: Any, steps: Any, **kwargs: Any) -> Shape:
    """Return the length of ``torch.linspace``."""
    sizes.any_will_do((start, end))
    return (counted_rows(sizes, steps),)


def grid(sizes: Sizes, *tensors: Any, indexing: str | None = None) -> list[Shape]:
    """Return the shapes of ``torch.meshgrid``."""
    lengths = [sizes.of(part)[0] for part in unpacked(tensors)]
    order = [lengths[1], lengths[0], *lengths[2:]] if indexing == "xy" and len(lengths) > 1 else lengths
    return [tuple(order)] * len(lengths)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("zeros", "ones", "empty", "rand", "randn", "new_zeros", "new_ones", "new_empty"), created),
    **dict.fromkeys(("full", "new_full"), filled),
    "arange": counted,
    "linspace": spaced,
    "meshgrid": grid,
}
