# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of the norms that refuse to normalize a single value."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError
from segup.inspection.lines import Line
from segup.inspection.record import Decision
from segup.inspection.sizes import NotFollowedError, Rule, Shape, Sizes
from segup.inspection.traced import Dim, TracedSize, extent_of, plain


def batch_norm(
    sizes: Sizes,
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    *args: Any,
    **kwargs: Any,
) -> Shape:
    """Return the shape after a batch norm, which in training needs two values in each channel."""
    shape = _of_fixed_channels(sizes, input)
    if training:
        _need_two(sizes, (shape[0], *shape[2:]), "a batch norm in training")
    return shape


def instance_norm(
    sizes: Sizes,
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    *args: Any,
    **kwargs: Any,
) -> Shape:
    """Return the shape after an instance norm, which needs two pixels unless it kept its statistics."""
    shape = _of_fixed_channels(sizes, input)
    if use_input_stats:
        _need_two(sizes, shape[2:], "an instance norm")
    return shape


def group_norm(sizes: Sizes, input: Any, num_groups: int, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a group norm, which needs two values in each group."""
    shape = _of_fixed_channels(sizes, input)
    _need_two(sizes, (shape[0], shape[1] // num_groups, *shape[2:]), "a group norm")
    return shape


def per_channel(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a function that has a parameter, or a place, for each channel."""
    return _of_fixed_channels(sizes, input)


def _of_fixed_channels(sizes: Sizes, input: Any) -> Shape:
    shape = sizes.of(input)
    if len(shape) < 2 or type(shape[1]) is TracedSize:
        raise NotFollowedError
    return shape


def _need_two(sizes: Sizes, dims: Shape, kind: str) -> None:
    """Note that a product of sizes has to be at least 2.

    Raises:
        ShapeError: It is 1.
    """
    if any(map(_is_never_one, dims)):
        return
    message = f"{kind} needs more than one value"
    open_dims = [dim for dim in dims if type(dim) is TracedSize]
    if len(open_dims) == 1:
        sizes.require(open_dims[0], ">=", 2, message)
        return
    if open_dims:
        sizes.record.lose(f"{message}, on which height and width decide together, in {sizes.record.where}")
    if all(plain(dim) == 1 for dim in dims):
        raise ShapeError(message)


def _is_never_one(dim: Dim) -> bool:
    if type(dim) is not TracedSize:
        return dim != 1
    extent = extent_of(dim)
    single = extent.single() if extent is not None else None
    if single is None:
        return False
    axis, line = single
    return Decision(axis, line.minus(Line.constant(1)), "!=", True, False, "").fixed and dim.value != 1


NORM_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "batch_norm": batch_norm,
        "instance_norm": instance_norm,
        "group_norm": group_norm,
        "prelu": per_channel,
        "channel_shuffle": per_channel,
    }
)
"""The rules by the functions' names."""
