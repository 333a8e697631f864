# ruff: noqa: A002, A006, ARG001, ARG005 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that compute over whole dimensions: means, maxima, norms and normalizations."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from segup.errors import ShapeError
from segup.inspection.periodic import PeriodicMap
from segup.inspection.record import SizeDecision, Together
from segup.inspection.shape_rules.elementwise import broadcast
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, argument, names
from segup.inspection.traced import Dim, TracedSize, as_int, periodic_of


def reduced(sizes: Sizes, input: Any, dim: Any = None, keepdim: bool = False, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a mean, sum or maximum over some dimensions."""
    shape = sizes.of(input)
    dim = kwargs.get("axis", dim)
    if isinstance(dim, Tensor) or isinstance(kwargs.get("other"), Tensor):
        return broadcast(sizes, input, kwargs.get("other", dim))
    if dim is None or dim in ((), []):
        return (1,) * len(shape) if keepdim else ()
    gone = {d % len(shape) for d in ([dim] if isinstance(dim, int) else dim)}
    kept = ((1 if i in gone else size, i in gone) for i, size in enumerate(shape))
    return tuple(size for size, dropped in kept if keepdim or not dropped)


def extreme(sizes: Sizes, input: Any, dim: Any = None, keepdim: bool = False, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a maximum or minimum, which needs a value."""
    for size in sizes.of(input):
        sizes.require(size, ">=", 1, "the largest of no values is asked for")
    return reduced(sizes, input, dim, keepdim, *args, **kwargs)


def normalized(sizes: Sizes, input: Any, normalized_shape: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a norm over the last dimensions, whose sizes are given."""
    shape = sizes.of(input)
    wanted = tuple(normalized_shape)
    for size, given in zip(shape[len(shape) - len(wanted) :], wanted, strict=True):
        sizes.require(size, "==", given, f"a norm over {as_int(given)} values is given {as_int(size)}")
    return shape


def batch_norm(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a batch norm, which in training needs two values in each channel."""
    shape = per_channel(sizes, input)
    if argument(args, kwargs, "training", 4):
        _need_two(sizes, (shape[0], *shape[2:]), "a batch norm in training")
    return shape


def instance_norm(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after an instance norm, which needs two pixels unless it kept its statistics."""
    shape = per_channel(sizes, input)
    if argument(args, kwargs, "use_input_stats", 4, True):
        _need_two(sizes, shape[2:], "an instance norm")
    return shape


def group_norm(sizes: Sizes, input: Any, num_groups: int, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a group norm, which needs two values in each group."""
    shape = per_channel(sizes, input)
    _need_two(sizes, (shape[0], shape[1] // num_groups, *shape[2:]), "a group norm")
    return shape


def per_channel(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a function that has a parameter, or a place, for each channel."""
    shape = sizes.of(input)
    if len(shape) < 2 or type(shape[1]) is TracedSize:
        raise NoRuleError
    return shape


def similarity(sizes: Sizes, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Shape:
    """Return the shape of the cosine similarity along a dimension."""
    shape = list(broadcast(sizes, x1, x2))
    del shape[dim]
    return tuple(shape)


def vector_norm(
    sizes: Sizes, x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Shape:
    """Return the shape of ``torch.linalg.vector_norm``, of which some need a value."""
    if type(ord) is TracedSize:
        raise NoRuleError
    return extreme(sizes, x, dim, keepdim)


def _need_two(sizes: Sizes, dims: Shape, kind: str) -> None:
    """Note that a product of sizes must not be 1.

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
    functions = dict(filter(None, map(periodic_of, open_dims)))
    if len(open_dims) == 2 and functions.keys() == {0, 1}:
        sizes.record.together.setdefault(Together((functions[0], functions[1]), sizes.record.layer(), message))
    elif open_dims:
        sizes.record.lose(f"{message}, on which height and width decide together, in {sizes.record.where}")
    if all(as_int(dim) == 1 for dim in dims):
        raise ShapeError(message)


def _is_never_one(dim: Dim) -> bool:
    if type(dim) is not TracedSize:
        return dim != 1
    single = periodic_of(dim)
    if single is None:
        return False
    axis, function = single
    return SizeDecision(axis, function.minus(PeriodicMap.constant(1)), "!=", True, False, "").fixed and dim.value != 1


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(names("mean sum var std prod logsumexp any all var_mean std_mean"), reduced),
    **dict.fromkeys(names("amax amin max min argmax argmin median"), extreme),
    "norm": lambda sizes, input, p=2, *args, **kwargs: reduced(sizes, input, *args, **kwargs),
    "linalg_vector_norm": vector_norm,
    "cosine_similarity": similarity,
    **dict.fromkeys(("layer_norm", "rms_norm"), normalized),
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "prelu": per_channel,
    "channel_shuffle": per_channel,
}
