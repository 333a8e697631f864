# ruff: noqa: A002, A006 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that take parts of a map: chunks, slices and rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from segup.inspection.calls import Reading
from segup.inspection.shape_rules.sizes import (
    NoRuleError,
    Rule,
    Shape,
    Sizes,
    check_ints,
    fitted,
    fixed,
    takes_any_size,
)
from segup.inspection.traced import Dim, TracedSize, as_int, same


def chunked(sizes: Sizes, input: Any, chunks: int, dim: int = 0) -> list[Shape]:
    """Return the shapes of equal parts, the last of which may be smaller; of few rows there are fewer parts."""
    size = sizes.of(input)[dim]
    if not sizes.decide(size, ">=", 1):
        return _cut(sizes, input, [0] * chunks, dim)
    rows = -(-size // chunks)
    parts, start = [sizes.least(rows, size)], rows
    while sizes.decide(size, ">", start):
        parts.append(sizes.least(rows, size - start))
        start = start + rows
    return _cut(sizes, input, parts, dim)


def split(sizes: Sizes, tensor: Any, split_size_or_sections: Any = None, dim: int = 0, **kwargs: Any) -> list[Shape]:
    """Return the shapes of parts of these sizes, or of one size where the dimension does not depend on the input's."""
    size, parts = sizes.of(tensor)[dim], kwargs.get("split_size", split_size_or_sections)
    if isinstance(parts, int):
        size, each = fixed([size, parts])
        parts = [min(each, size - start) for start in range(0, size, each)]
    for part in parts:
        sizes.require(part, ">=", 0, f"a part of {as_int(part)} rows is asked for")
    total = sum(parts)
    sizes.require(total, "==", size, f"parts of {as_int(total)} rows in all are asked for of {as_int(size)}")
    return _cut(sizes, tensor, parts, dim)


def _cut(sizes: Sizes, tensor: Any, parts: Sequence[Dim], dim: int) -> list[Shape]:
    shape = sizes.of(tensor)
    place = dim % len(shape)
    return [(*shape[:place], sizes.moved(part), *shape[place + 1 :]) for part in parts]


def gated(sizes: Sizes, input: Any, dim: int = -1) -> Shape:
    """Return the shape after a gated linear unit: half of a dimension, which has to be even."""
    shape = list(sizes.of(input))
    sizes.require(shape[dim] % 2, "==", 0, f"{as_int(shape[dim])} rows cannot be halved")
    shape[dim] = sizes.moved(shape[dim] // 2)
    return tuple(shape)


def unbound(sizes: Sizes, input: Any, dim: int = 0) -> list[Shape]:
    """Return the shapes of the slices of a dimension that does not depend on the input's size."""
    shape = sizes.of(input)
    (count,), place = fixed([shape[dim]]), dim % len(shape)
    return [(*shape[:place], *shape[place + 1 :])] * count


def narrowed(sizes: Sizes, input: Any, dim: int, start: Any, length: Dim) -> Shape:
    """Return the shape of ``length`` rows from ``start`` on."""
    shape = list(sizes.of(input))
    check_ints(start)
    sizes.require(length, ">=", 0, f"{as_int(length)} rows are asked for")
    if not sizes.decide(start, ">=", 0):
        start = shape[dim] + start
        sizes.require(start, ">=", 0, f"rows from {as_int(start)} on are asked for")
    sizes.decide(length, "==", shape[dim])
    sizes.require(shape[dim], ">=", start, f"rows from {as_int(start)} on of {as_int(shape[dim])} are asked for")
    message = f"rows {as_int(start)} … {as_int(start) + as_int(length) - 1} of {as_int(shape[dim])} are asked for"
    sizes.require(shape[dim], ">=", start + length, message)
    sizes.read(dim % len(shape), Reading.shifted(0 - start))
    shape[dim] = length
    return tuple(shape)


def getitem(sizes: Sizes, input: Any, items: Any) -> Shape:
    """Return the shape of what indices and slices pick; of one list or tensor of indices, too."""
    shape = sizes.of(input)
    items = items if isinstance(items, tuple) else (items,)
    if any(not (item is None or item is Ellipsis or isinstance(item, slice | int | list | Tensor)) for item in items):
        raise NoRuleError
    several = sum(isinstance(item, list | Tensor | int) for item in items) > 1
    if several and any(isinstance(item, list | Tensor) for item in items):
        raise NoRuleError
    taken = sum(1 for item in items if item is not None and item is not Ellipsis)
    place = 0
    result: list[Dim] = []
    for item in items if Ellipsis in [i for i in items if i is Ellipsis] else (*items, Ellipsis):
        if item is None:
            result.append(1)
        elif item is Ellipsis:
            count = len(shape) - taken
            result += shape[place : place + count]
            place += count
        elif isinstance(item, slice):
            result.append(_sliced(sizes, shape[place], item, place))
            place += 1
        elif isinstance(item, list | Tensor):
            result += _picked(sizes, shape, place, item)
            place += 1
        else:
            low = 0 - item if as_int(item) < 0 else item + 1
            sizes.decide(shape[place], "==", 1)  # a row of several lies in memory otherwise than the only one
            sizes.require(shape[place], ">=", low, f"row {as_int(item)} of {as_int(shape[place])} is asked for")
            place += 1
    return tuple(result)


def setitem(sizes: Sizes, input: Any, items: Any, value: Any) -> list[Shape]:
    """Check what is put in the place that indices and slices pick."""
    target = getitem(sizes, input, items)
    if takes_any_size(input.dtype):
        sizes.any_will_do([value])
    if isinstance(value, Tensor):
        fitted(sizes, target, sizes.of(value))
    return []


def _picked(sizes: Sizes, shape: Shape, place: int, indices: Any) -> Shape:
    """Return the shape of the rows at these indices: whether they exist must not depend on the input."""
    fixed([shape[place]])
    if len(shape) == 4 and place > 1:  # rows of a map go to other places
        raise NoRuleError
    if isinstance(indices, Tensor):
        if indices.dtype not in (torch.int64, torch.int32) or not sizes.is_constant(indices):
            raise NoRuleError
        return sizes.of(indices)
    if any(type(index) is not int for index in indices):
        raise NoRuleError
    return (len(indices),)


def selected(sizes: Sizes, input: Any, dim: int, index: Any) -> Shape:
    """Return the shape of ``torch.index_select``."""
    if len(sizes.of(index)) != 1:
        raise NoRuleError
    return getitem(sizes, input, (*(slice(None),) * (dim % len(sizes.of(input))), index))


def _sliced(sizes: Sizes, size: Dim, item: slice, place: int) -> Dim:
    """Return the length of ``size`` rows after a slice, by Python's rule, each clamp noted."""
    step = 1 if item.step is None else item.step
    if type(step) is not int or step < 1:
        raise NoRuleError
    start = _end(sizes, size, 0 if item.start is None else item.start)
    stop = size if item.stop is None else _end(sizes, size, item.stop)
    if type(size) is TracedSize:
        sizes.read(place, Reading.shifted(0 - start, step))
    if not sizes.decide(stop, ">=", start):
        return 0
    length = stop - start
    sizes.decide(length, "==", size)  # a part of a map lies in memory otherwise than the whole
    length = length if step == 1 else (length + (step - 1)) // step
    return length if same(length, size) else sizes.moved(length)


def _end(sizes: Sizes, size: Dim, end: Any) -> Dim:
    check_ints(end)
    if not sizes.decide(end, ">=", 0):
        end = size + end
        return end if sizes.decide(end, ">=", 0) else 0
    return sizes.least(end, size)


RULES: Mapping[str, Rule] = {
    "chunk": chunked,
    "split": split,
    "glu": gated,
    "index_select": selected,
    "unbind": unbound,
    "narrow": narrowed,
    "select": lambda sizes, input, dim, index: getitem(sizes, input, (*(slice(None),) * (dim % input.dim()), index)),
    "__getitem__": getitem,
    "__setitem__": setitem,
}
