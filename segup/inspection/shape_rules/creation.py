# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that make new tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segup.inspection.shape_rules.sizes import (
    NoRuleError,
    Rule,
    Shape,
    Sizes,
    check_ints,
    takes_any_size,
    tensors_in,
    unpacked,
)
from segup.inspection.traced import Dim, as_int


def created(sizes: Sizes, *shape: Any, **kwargs: Any) -> Shape:
    """Return the shape of a new tensor: ``torch.zeros(2, 3)`` and ``x.new_zeros((2, 3))``."""
    sizes.any_will_do(tensors_in(shape))  # of which a new one takes its type
    shape = tuple(part for part in shape if not isinstance(part, Tensor)) or (kwargs.get("size", ()),)
    wanted = unpacked(shape)
    check_ints(*wanted)
    return tuple(counted_rows(sizes, dim) for dim in wanted)


def filled(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.full(size, value)``."""
    of = next(iter(tensors_in(args)), None)  # which new_full takes its type from
    if takes_any_size(kwargs.get("dtype") or (torch.int64 if of is None else of.dtype)):
        sizes.any_will_do((*args[-1:], *kwargs.values()))
    given = [kwargs["size"]] if "size" in kwargs else [part for part in args if not isinstance(part, Tensor)][:1]
    return created(sizes, *tensors_in(args), *given)


def counted(sizes: Sizes, start: Any = None, end: Any = None, step: Any = 1, **kwargs: Any) -> Shape:
    """Return the length of ``torch.arange`` in whole steps."""
    low, high = (0, start if end is None else end) if None in (start, end) else (start, end)
    check_ints(low, high)
    if type(step) is not int or step < 1 or not _fits(kwargs):
        raise NoRuleError
    rows = counted_rows(sizes, high - low)
    return (rows if step == 1 else -(-rows // step),)


def _fits(kwargs: Mapping[str, Any]) -> bool:
    """Return whether any size is a value of the type that is asked for."""
    return takes_any_size(kwargs.get("dtype") or torch.get_default_dtype())


def counted_rows(sizes: Sizes, count: Dim) -> Dim:
    """Return a number of rows that is asked for, which cannot be below 0."""
    sizes.require(count, ">=", 0, f"a map of {as_int(count)} rows is asked for")
    return count


def spaced(sizes: Sizes, start: Any, end: Any, steps: Any, **kwargs: Any) -> Shape:
    """Return the length of ``torch.linspace``."""
    if _fits(kwargs):
        sizes.any_will_do((start, end))
    return (counted_rows(sizes, steps),)


def identity_matrix(sizes: Sizes, n: Any, m: Any = None, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.eye``."""
    check_ints(n, n if m is None else m)
    return counted_rows(sizes, n), counted_rows(sizes, n if m is None else m)


def of_data(sizes: Sizes, input: Any, data: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``x.new_tensor(data)`` of numbers, nested in lists."""
    sizes.any_will_do([input])
    shape: Shape = ()
    while isinstance(data, list | tuple):
        shape, data = (*shape, len(data)), data[0] if data else 0.0
    if type(data) not in (int, float, bool):
        raise NoRuleError
    return shape


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
    "eye": identity_matrix,
    "new_tensor": of_data,
    "meshgrid": grid,
}
