# ruff: noqa: A002, A006 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that give the same values another shape, or more of them."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from segup.errors import ShapeError
from segup.inspection.calls import Reading
from segup.inspection.periodic import Extent
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, check_ints, fitted, product, unpacked
from segup.inspection.traced import TracedSize, as_int, extent_of, periodic_of


def permuted(sizes: Sizes, input: Any, *dims: Any) -> Shape:
    """Return the shape with its dimensions in another order."""
    shape = sizes.of(input)
    return tuple(shape[d] for d in unpacked(dims))


def transposed(sizes: Sizes, input: Any, dim0: int, dim1: int) -> Shape:
    """Return the shape with two dimensions swapped."""
    shape = list(sizes.of(input))
    shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
    return tuple(shape)


def moved(sizes: Sizes, input: Any, source: Any, destination: Any) -> Shape:
    """Return the shape with some dimensions brought to other places, the rest in their order."""
    shape = sizes.of(input)
    froms, tos = (
        [d % len(shape) for d in ([dims] if isinstance(dims, int) else dims)] for dims in (source, destination)
    )
    if not len({*froms}) == len(froms) == len({*tos}) == len(tos):
        raise NoRuleError
    rest = iter(place for place in range(len(shape)) if place not in froms)
    order = [froms[tos.index(place)] if place in tos else next(rest) for place in range(len(shape))]
    return tuple(shape[place] for place in order)


def turned(sizes: Sizes, input: Any, k: int = 1, dims: Any = (0, 1)) -> Shape:
    """Return the shape after quarter turns."""
    return transposed(sizes, input, *dims) if k % 2 else sizes.of(input)


def matrix_transposed(sizes: Sizes, input: Any) -> Shape:
    """Return the shape with its last two dimensions swapped."""
    shape = sizes.of(input)
    return shape if len(shape) < 2 else transposed(sizes, input, -1, -2)


def flattened(sizes: Sizes, input: Any, start_dim: int = 0, end_dim: int = -1) -> Shape:
    """Return the shape with a stretch of dimensions as one."""
    shape = sizes.of(input)
    low, high = start_dim % len(shape), end_dim % len(shape)
    return (*shape[:low], product(shape[low : high + 1]), *shape[high + 1 :])


def reshaped(sizes: Sizes, input: Any, *shape: Any) -> Shape:
    """Return the shape asked for, with −1 worked out."""
    shape = unpacked(shape)
    check_ints(*shape)
    total = extent_of(product(sizes.of(input)))
    known = extent_of(product(dim for dim in shape if not _is_rest(dim)))
    if total is None or known is None:
        raise NoRuleError
    rest = _quotient(sizes, total, known, open_end=any(map(_is_rest, shape)))
    if rest is None or (rest != Extent(1, ()) and not any(map(_is_rest, shape))):
        raise NoRuleError
    number = as_int(product(sizes.of(input))) // max(1, as_int(product(d for d in shape if not _is_rest(d))))
    return tuple(sizes.made(number, rest) if _is_rest(dim) else dim for dim in shape)


def _quotient(sizes: Sizes, total: Extent, known: Extent, open_end: bool) -> Extent | None:
    """Return total / known; where a factor equals another, or a multiple of it, in this way alone, note that it has to.

    On the way of the even sizes n is twice ⌈n/2⌉, and a map of n rows can be taken for one of ⌈n/2⌉ × 2.
    """
    left, size = list(total.factors), sizes.record.size
    ratio = Fraction(total.coefficient, known.coefficient or 1)
    for axis, function in known.factors:
        if (axis, function) in left:
            left.remove((axis, function))
            continue
        other = next((one for place, one in left if place == axis), None)
        if other is None:
            return None
        left.remove((axis, other))
        high, low = other(size[axis]), function(size[axis])
        times = Fraction(high, low or 1)
        gap = other.times(times.denominator).minus(function.times(times.numerator))
        # Where it does not hold torch refuses, unless a −1 takes up the difference.
        sizes.note(axis, gap, f"{high} rows are taken for {low}", required=not open_end)
        ratio *= times
    if ratio.denominator == 1:
        return Extent(int(ratio), tuple(left))
    if len(left) != 1:
        return None
    axis, function = left[0]
    rows = function.times(ratio.numerator)
    message = f"{rows(size[axis])} rows are no multiple of {ratio.denominator}"
    if not sizes.note(axis, rows.modulo(ratio.denominator), message, required=True):
        raise ShapeError(message)
    return Extent.of(axis, rows.over(ratio.denominator))


def _is_rest(dim: Any) -> bool:
    return type(dim) is int and dim == -1


def viewed(sizes: Sizes, input: Any, *shape: Any) -> Shape:
    """Return the shape asked for of the same memory: whether torch can depends on dimensions of 1 too."""
    for size in sizes.of(input):
        if periodic_of(size) is not None:
            sizes.decide(size, "==", 1)
    return reshaped(sizes, input, *shape)


def unflattened(sizes: Sizes, input: Any, dim: int, shape: Any) -> Shape:
    """Return the shape with one dimension split into several."""
    before = sizes.of(input)
    place = dim % len(before)
    return reshaped(sizes, input, (*before[:place], *shape, *before[place + 1 :]))


def unsqueezed(sizes: Sizes, input: Any, dim: int) -> Shape:
    """Return the shape with a 1 more."""
    shape = list(sizes.of(input))
    shape.insert(dim % (len(shape) + 1), 1)
    return tuple(shape)


def squeezed(sizes: Sizes, input: Any, dim: Any = None) -> Shape:
    """Return the shape without dimensions of 1."""
    shape = sizes.of(input)
    places = range(len(shape)) if dim is None else [d % len(shape) for d in ([dim] if isinstance(dim, int) else dim)]
    gone = {i for i in places if sizes.decide(shape[i], "==", 1)}
    sizes.record.squeezed |= any(type(shape[i]) is TracedSize for i in gone)
    return tuple(size for i, size in enumerate(shape) if i not in gone)


def expanded(sizes: Sizes, input: Any, *shape: Any) -> Shape:
    """Return the shape asked for, with −1 for what stays."""
    wanted = unpacked(shape)
    before = sizes.of(input)
    padded = (*(1,) * (len(wanted) - len(before)), *before)
    kept = tuple(old if _is_rest(new) else new for old, new in zip(padded, wanted, strict=True))
    fitted(sizes, kept, before)
    for new in kept:
        sizes.require(new, ">=", 0, f"a map cannot be expanded to {as_int(new)} rows")
    return kept


def repeated(sizes: Sizes, input: Any, *repeats: Any) -> Shape:
    """Return the shape of so many copies in each dimension."""
    counts = unpacked(repeats)
    before = sizes.of(input)
    padded = (*(1,) * (len(counts) - len(before)), *before)
    for count in counts:
        sizes.require(count, ">=", 0, f"{as_int(count)} copies are asked for")
    return tuple(size * count for size, count in zip(padded, counts, strict=True))


def tiled(sizes: Sizes, input: Any, *dims: Any) -> Shape:
    """Return the shape of so many copies in each of the last dimensions."""
    counts = unpacked(dims)
    return repeated(sizes, input, *(1,) * (len(sizes.of(input)) - len(counts)), *counts)


def interleaved(sizes: Sizes, input: Any, repeats: Any, dim: int | None = None) -> Shape:
    """Return the shape of each row so many times; of all values in a row without a dimension."""
    shape = list(sizes.of(input))
    check_ints(repeats)
    sizes.require(repeats, ">=", 0, f"{as_int(repeats)} copies are asked for")
    if dim is None:
        return (product(shape) * repeats,)
    if type(repeats) is int:
        sizes.read(dim % len(shape), Reading("shuffle", (repeats,)))
    shape[dim] = sizes.moved(shape[dim] * repeats)
    return tuple(shape)


RULES: Mapping[str, Rule] = {
    "permute": permuted,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transposed),
    "t": matrix_transposed,
    "flatten": flattened,
    "reshape": reshaped,
    "view": viewed,
    "unflatten": unflattened,
    "unsqueeze": unsqueezed,
    "squeeze": squeezed,
    "expand": expanded,
    "expand_as": lambda sizes, input, other: expanded(sizes, input, sizes.of(other)),
    **dict.fromkeys(("view_as", "reshape_as"), lambda sizes, input, other: reshaped(sizes, input, sizes.of(other))),
    "repeat": repeated,
    "tile": tiled,
    "repeat_interleave": interleaved,
    "broadcast_to": expanded,
    **dict.fromkeys(("movedim", "moveaxis"), moved),
    "rot90": turned,
}
