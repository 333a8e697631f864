# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that move, join or combine maps without windows: what comes out of what.

A rule takes the :class:`Sizes` of the run and the function's own arguments, and returns the shape of its result, or a
list of shapes for several results. :class:`NotFollowedError` where it does not know.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from torch import Tensor

from segup.errors import ShapeError
from segup.inspection.lines import Line
from segup.inspection.record import Extent, Record
from segup.inspection.traced import Dim, TracedSize, difference, extent_of, plain, same

Shape = tuple[Dim, ...]
Shapes = Shape | list[Shape]
Rule = Callable[..., Shapes]


class NotFollowedError(Exception):
    """A call whose result's shape no rule gives."""


class Sizes:
    """What a rule needs: the shapes of tensors, and the record that it notes requirements in."""

    def __init__(self, record: Record, shape_of: Callable[[Tensor], Shape]) -> None:
        self.record, self.of = record, shape_of

    def require(self, one: Dim, relation: str, other: Dim, message: str) -> None:
        """Note a condition without which torch refuses; a ShapeError with ``message`` where it does not hold.

        Raises:
            ShapeError: The condition does not hold.
        """
        if not self.decide(one, relation, other, message, required=True):
            raise ShapeError(message)

    def decide(self, one: Dim, relation: str, other: Dim, message: str = "", required: bool = False) -> bool:
        """Note a comparison that torch makes and return how it comes out."""
        left, right = plain(one), plain(other)
        outcome: bool = {"==": left == right, ">=": left >= right, ">": left > right}[relation]
        if type(one) is not TracedSize and type(other) is not TracedSize:
            return outcome
        found = difference(one, other)
        if found is None:
            if not same(one, other):
                self.record.lose(f"torch compares sizes that are not followed, in {self.record.where}")
            return outcome
        axis, line = found
        return self.record.note(self.record.decide(axis, line, relation, message, required), outcome)

    def note(self, axis: int, line: Line, message: str, required: bool) -> bool:
        """Note whether ``line`` is 0 at the input's size."""
        decision = self.record.decide(axis, line, "==", message, required)
        return self.record.note(decision, line(self.record.size[axis]) == 0)

    def equal(self, one: Dim, other: Dim, message: str) -> Dim:
        """Require two sizes to be equal and return the one that is traced."""
        self.require(one, "==", other, message)
        return other if type(one) is int else one

    def made(self, value: int, extent: Extent | None) -> Dim:
        """Return a size that this call makes."""
        if extent is not None and not extent.factors:
            return extent.coefficient
        return TracedSize(self.record, value, extent, self.record.layer())

    def moved(self, dim: Dim) -> Dim:
        """Return a size as made by this call."""
        return self.made(dim.value, dim.extent) if type(dim) is TracedSize else dim

    def least(self, one: Dim, other: Dim) -> Dim:
        """Return the smaller of two sizes, and note which it is."""
        return one if self.decide(other, ">=", one) else other


def first(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor: activations, norms, copies and everything in place."""
    return sizes.of(_tensors((*args, *kwargs.values()))[0])


def broadcast(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape that all tensors are brought to: arithmetic and comparisons."""
    shapes = [sizes.of(tensor) for tensor in _tensors((*args, *kwargs.values()))]
    return broadcast_shapes(sizes, shapes)


def broadcast_shapes(sizes: Sizes, shapes: Sequence[Shape]) -> Shape:
    """Return the common shape by torch's rule: equal, or one of the two is 1."""
    result: Shape = ()
    for shape in shapes:
        longer, shorter = (result, shape) if len(result) >= len(shape) else (shape, result)
        tail = longer[len(longer) - len(shorter) :]
        joined = tuple(_one_of(sizes, a, b) for a, b in zip(tail, shorter, strict=True))
        result = (*longer[: len(longer) - len(shorter)], *joined)
    return result


def _one_of(sizes: Sizes, one: Dim, other: Dim) -> Dim:
    if type(one) is int and one == 1:
        return other
    if (type(other) is int and other == 1) or same(one, other) or sizes.decide(one, "==", other):
        return one
    if sizes.decide(one, "==", 1):
        return other
    sizes.require(other, "==", 1, f"maps of sizes {plain(one)} and {plain(other)} cannot be combined")
    return one


def reduced(sizes: Sizes, input: Any, dim: Any = None, keepdim: bool = False, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a mean, sum or maximum over some dimensions."""
    shape = sizes.of(input)
    dim = kwargs.get("axis", dim)
    if isinstance(dim, Tensor):
        return broadcast(sizes, input, dim)
    if dim is None or dim in ((), []):
        return (1,) * len(shape) if keepdim else ()
    gone = {d % len(shape) for d in ([dim] if isinstance(dim, int) else dim)}
    kept = ((1 if i in gone else size, i in gone) for i, size in enumerate(shape))
    return tuple(size for size, dropped in kept if keepdim or not dropped)


def norm(sizes: Sizes, input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Shape:
    """Return the shape after a norm."""
    return reduced(sizes, input, dim, keepdim)


def joined(sizes: Sizes, tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Shape:
    """Return the shape of maps put one after the other."""
    shapes = [sizes.of(tensor) for tensor in tensors if tuple(tensor.shape) != (0,)]
    rank = len(shapes[0])
    place = (dim if axis is None else axis) % rank
    total: Dim = 0
    for shape in shapes:
        total = total + shape[place]
    rest = list(shapes[0])
    for shape in shapes[1:]:
        for i in range(rank):
            if i != place:
                words = f"maps of sizes {plain(rest[i])} and {plain(shape[i])} cannot be joined"
                rest[i] = sizes.equal(rest[i], shape[i], words)
    rest[place] = sizes.moved(total)
    return tuple(rest)


def stacked(sizes: Sizes, tensors: Any, dim: int = 0, *, out: Any = None) -> Shape:
    """Return the shape of maps stacked along a new dimension."""
    shapes = [sizes.of(tensor) for tensor in tensors]
    common = list(shapes[0])
    for shape in shapes[1:]:
        words = "maps of different sizes cannot be stacked"
        common = [sizes.equal(a, b, words) for a, b in zip(common, shape, strict=True)]
    common.insert(dim % (len(common) + 1), len(shapes))
    return tuple(common)


def permuted(sizes: Sizes, input: Any, *dims: Any) -> Shape:
    """Return the shape with its dimensions in another order."""
    shape = sizes.of(input)
    order = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return tuple(shape[d] for d in order)


def transposed(sizes: Sizes, input: Any, dim0: int, dim1: int) -> Shape:
    """Return the shape with two dimensions swapped."""
    shape = list(sizes.of(input))
    shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
    return tuple(shape)


def matrix_transposed(sizes: Sizes, input: Any) -> Shape:
    """Return the shape with its last two dimensions swapped."""
    shape = sizes.of(input)
    return shape if len(shape) < 2 else transposed(sizes, input, -1, -2)


def flattened(sizes: Sizes, input: Any, start_dim: int = 0, end_dim: int = -1) -> Shape:
    """Return the shape with a stretch of dimensions as one."""
    shape = sizes.of(input)
    low, high = start_dim % len(shape), end_dim % len(shape)
    return (*shape[:low], product(shape[low : high + 1]), *shape[high + 1 :])


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of sizes."""
    return math.prod(dims, start=1)


def reshaped(sizes: Sizes, input: Any, *shape: Any) -> Shape:
    """Return the shape asked for, with −1 worked out."""
    if len(shape) == 1 and not isinstance(shape[0], int):
        shape = tuple(shape[0])
    if any(not isinstance(dim, int) for dim in shape):
        raise NotFollowedError
    total = extent_of(product(sizes.of(input)))
    known = extent_of(product(dim for dim in shape if not _is_rest(dim)))
    if total is None or known is None:
        raise NotFollowedError
    rest = _quotient(sizes, total, known, open_end=any(map(_is_rest, shape)))
    if rest is None or (rest != Extent(1, ()) and not any(map(_is_rest, shape))):
        raise NotFollowedError
    number = plain(product(sizes.of(input))) // max(1, plain(product(d for d in shape if not _is_rest(d))))
    return tuple(sizes.made(number, rest) if _is_rest(dim) else dim for dim in shape)


def _quotient(sizes: Sizes, total: Extent, known: Extent, open_end: bool) -> Extent | None:
    """Return total / known; where a factor equals another, or a multiple of it, in this way alone, note that it has to.

    On the way of the even sizes n is twice ⌈n/2⌉, and a map of n rows can be taken for one of ⌈n/2⌉ × 2.
    """
    left, size = list(total.factors), sizes.record.size
    ratio = Fraction(total.coefficient, known.coefficient or 1)
    for axis, line in known.factors:
        if (axis, line) in left:
            left.remove((axis, line))
            continue
        other = next((one for place, one in left if place == axis), None)
        if other is None:
            return None
        left.remove((axis, other))
        high, low = other(size[axis]), line(size[axis])
        times = Fraction(high, low or 1)
        gap = other.times(times.denominator).minus(line.times(times.numerator))
        # Where it does not hold torch refuses, unless a −1 takes up the difference.
        sizes.note(axis, gap, f"{high} rows are taken for {low}", required=not open_end)
        ratio *= times
    if ratio.denominator == 1:
        return Extent(int(ratio), tuple(left))
    if len(left) != 1:
        return None
    axis, line = left[0]
    rows = line.times(ratio.numerator)
    message = f"{rows(size[axis])} rows are no multiple of {ratio.denominator}"
    if not sizes.note(axis, rows.modulo(ratio.denominator), message, required=True):
        raise ShapeError(message)
    return Extent.of(axis, rows.over(ratio.denominator))


def _is_rest(dim: Any) -> bool:
    return type(dim) is int and dim == -1


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
    return tuple(size for i, size in enumerate(shape) if i not in gone)


def expanded(sizes: Sizes, input: Any, *shape: Any) -> Shape:
    """Return the shape asked for, with −1 for what stays."""
    wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    before = sizes.of(input)
    padded = (*(1,) * (len(wanted) - len(before)), *before)
    kept = tuple(old if _is_rest(new) else new for old, new in zip(padded, wanted, strict=True))
    for old, new in zip(padded, kept, strict=True):
        if not (type(old) is int and old == 1):
            sizes.require(old, "==", new, f"a map of size {plain(old)} cannot be expanded to {plain(new)}")
    return kept


def shaped_as(sizes: Sizes, input: Any, other: Any) -> Shape:
    """Return the shape of the second tensor."""
    return sizes.of(other)


def repeated(sizes: Sizes, input: Any, *repeats: Any) -> Shape:
    """Return the shape of so many copies in each dimension."""
    counts = tuple(repeats[0]) if len(repeats) == 1 and not isinstance(repeats[0], int) else repeats
    before = sizes.of(input)
    padded = (*(1,) * (len(counts) - len(before)), *before)
    return tuple(size * count for size, count in zip(padded, counts, strict=True))


def chunked(sizes: Sizes, input: Any, chunks: int, dim: int = 0) -> list[Shape]:
    """Return the shapes of equal parts of a dimension that does not depend on the input's size."""
    size = sizes.of(input)[dim]
    if type(size) is not int:
        raise NotFollowedError
    return split(sizes, input, -(-size // chunks), dim)


def split(sizes: Sizes, tensor: Any, split_size_or_sections: Any = None, dim: int = 0, **kwargs: Any) -> list[Shape]:
    """Return the shapes of the parts of a dimension that does not depend on the input's size."""
    shape = sizes.of(tensor)
    size, parts = shape[dim], kwargs.get("split_size", split_size_or_sections)
    if type(size) is not int:
        raise NotFollowedError
    if isinstance(parts, int):
        parts = [min(parts, size - start) for start in range(0, size, parts)]
    place = dim % len(shape)
    return [(*shape[:place], part, *shape[place + 1 :]) for part in parts]


def unbound(sizes: Sizes, input: Any, dim: int = 0) -> list[Shape]:
    """Return the shapes of the slices of a dimension that does not depend on the input's size."""
    shape = sizes.of(input)
    count, place = shape[dim], dim % len(shape)
    if type(count) is not int:
        raise NotFollowedError
    return [(*shape[:place], *shape[place + 1 :])] * count


def narrowed(sizes: Sizes, input: Any, dim: int, start: Any, length: Dim) -> Shape:
    """Return the shape of ``length`` rows from ``start`` on."""
    shape = list(sizes.of(input))
    if not isinstance(start, int):
        raise NotFollowedError
    message = f"rows {plain(start)} … {plain(start) + plain(length) - 1} of {plain(shape[dim])} are asked for"
    sizes.require(shape[dim], ">=", start + length, message)
    shape[dim] = length
    return tuple(shape)


def selected(sizes: Sizes, input: Any, dim: int, index: Any) -> Shape:
    """Return the shape without one dimension."""
    return getitem(sizes, input, (*(slice(None),) * (dim % input.dim()), index))


def getitem(sizes: Sizes, input: Any, items: Any) -> Shape:
    """Return the shape of what indices and slices pick."""
    shape = sizes.of(input)
    items = items if isinstance(items, tuple) else (items,)
    if any(not (item is None or item is Ellipsis or isinstance(item, slice | int)) for item in items):
        raise NotFollowedError
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
            result.append(_sliced(sizes, shape[place], item))
            place += 1
        else:
            low = 0 - item if plain(item) < 0 else item + 1
            sizes.require(shape[place], ">=", low, f"row {plain(item)} of {plain(shape[place])} is asked for")
            place += 1
    return tuple(result)


def setitem(sizes: Sizes, input: Any, items: Any, value: Any) -> list[Shape]:
    """Check what is put in the place that indices and slices pick."""
    target = getitem(sizes, input, items)
    if isinstance(value, Tensor):
        shape = broadcast_shapes(sizes, [target, sizes.of(value)])
        if len(shape) != len(target):
            raise NotFollowedError
        for wanted, got in zip(target, shape, strict=True):
            sizes.require(wanted, "==", got, f"a map of size {plain(got)} is put in a place of {plain(wanted)}")
    return []


def _sliced(sizes: Sizes, size: Dim, item: slice) -> Dim:
    """Return the length of ``size`` rows after a slice, by Python's rule, each clamp noted."""
    step = 1 if item.step is None else item.step
    if type(step) is not int or step < 1:
        raise NotFollowedError
    start = _end(sizes, size, 0 if item.start is None else item.start)
    stop = size if item.stop is None else _end(sizes, size, item.stop)
    if not sizes.decide(stop, ">=", start):
        return 0
    length = stop - start
    length = length if step == 1 else (length + (step - 1)) // step
    return length if same(length, size) else sizes.moved(length)


def _end(sizes: Sizes, size: Dim, end: Any) -> Dim:
    if not isinstance(end, int):
        raise NotFollowedError
    if not sizes.decide(end, ">=", 0):
        end = size + end
        return end if sizes.decide(end, ">=", 0) else 0
    return sizes.least(end, size)


def matmul(sizes: Sizes, input: Any, other: Any) -> Shape:
    """Return the shape of a matrix product."""
    one, two = sizes.of(input), sizes.of(other)
    if len(one) < 2 or len(two) < 2:
        raise NotFollowedError
    sizes.require(one[-1], "==", two[-2], f"matrices of {plain(one[-1])} columns and {plain(two[-2])} rows")
    return (*broadcast_shapes(sizes, [one[:-2], two[:-2]]), one[-2], two[-1])


def linear(sizes: Sizes, input: Any, weight: Any, bias: Any = None) -> Shape:
    """Return the shape after a linear layer over the last dimension."""
    shape, (out, channels) = sizes.of(input), sizes.of(weight)
    sizes.require(shape[-1], "==", channels, f"a linear layer of {plain(channels)} inputs is given {plain(shape[-1])}")
    return (*shape[:-1], out)


def attention(sizes: Sizes, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after scaled dot-product attention."""
    return (*sizes.of(query)[:-1], sizes.of(value)[-1])


def einsum(sizes: Sizes, equation: Any, *operands: Any) -> Shape:
    """Return the shape of a sum over letters."""
    if not isinstance(equation, str) or "->" not in equation or "." in equation:
        raise NotFollowedError
    tensors = operands[0] if len(operands) == 1 and not isinstance(operands[0], Tensor) else operands
    inputs, output = equation.replace(" ", "").split("->")
    found: dict[str, Dim] = {}
    for letters, tensor in zip(inputs.split(","), tensors, strict=True):
        for letter, size in zip(letters, sizes.of(tensor), strict=True):
            words = f"'{letter}' of '{equation}' is {plain(size)} and {plain(found.get(letter, size))}"
            found[letter] = sizes.equal(found.get(letter, size), size, words)
    return tuple(found[letter] for letter in output)


def created(sizes: Sizes, *shape: Any, **kwargs: Any) -> Shape:
    """Return the shape of a new tensor: ``torch.zeros(2, 3)`` and ``x.new_zeros((2, 3))``."""
    shape = tuple(part for part in shape if not isinstance(part, Tensor)) or (kwargs.get("size", ()),)
    wanted = shape[0] if not isinstance(shape[0], int) else shape
    if any(not isinstance(dim, int) for dim in wanted):
        raise NotFollowedError
    return tuple(wanted)


def filled(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.full(size, value)``."""
    return created(sizes, next(part for part in args if not isinstance(part, Tensor)))


def counted(sizes: Sizes, start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Shape:
    """Return the length of ``torch.arange`` in steps of 1."""
    low, high = (0, start) if end is None else (start, end)
    if type(step) is not int or step != 1 or not (isinstance(low, int) and isinstance(high, int)):
        raise NotFollowedError
    return (high - low,)


def spaced(sizes: Sizes, start: Any, end: Any, steps: Any, **kwargs: Any) -> Shape:
    """Return the length of ``torch.linspace``."""
    return (steps,)


def grid(sizes: Sizes, *tensors: Any, indexing: str | None = None) -> list[Shape]:
    """Return the shapes of ``torch.meshgrid``."""
    parts = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    lengths = [sizes.of(part)[0] for part in parts]
    order = [lengths[1], lengths[0], *lengths[2:]] if indexing == "xy" and len(lengths) > 1 else lengths
    return [tuple(order)] * len(lengths)


def grid_sampled(sizes: Sizes, input: Any, grid: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of a sampled map: that of the grid."""
    return (*sizes.of(input)[:2], *sizes.of(grid)[1:-1])


def names(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


_FIRST = names(
    """
relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus softsign
logsigmoid threshold rrelu prelu hardshrink softshrink tanhshrink dropout dropout1d dropout2d dropout3d alpha_dropout
feature_dropout feature_alpha_dropout layer_norm rms_norm local_response_norm
normalize softmax log_softmax softmin exp exp2 expm1 log log2 log10 log1p sqrt rsqrt abs neg sign sin cos tan sinh cosh
asin acos atan floor ceil round trunc frac reciprocal square erf erfc logical_not bitwise_not isnan isinf isfinite
nan_to_num contiguous clone detach to float half double bfloat16 long int bool type type_as cpu cuda requires_grad
zeros_like ones_like empty_like rand_like randn_like full_like fill zero copy cumsum cumprod flip roll triu tril sort
argsort bernoulli normal uniform channel_shuffle positive pin_memory __neg__ __invert__ __abs__ __pos__ masked_fill
index_fill sgn logit expit alias __deepcopy__
    """
)

_BROADCAST = names(
    """
add sub subtract mul multiply div divide true_divide floor_divide pow maximum minimum fmax fmin where lerp addcmul
addcdiv eq ne lt le gt ge not_equal greater less greater_equal less_equal logical_and logical_or logical_xor
bitwise_and bitwise_or bitwise_xor atan2 fmod remainder rsub clamp clamp_min clamp_max clip hypot copysign
__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__ __mod__ __rmod__
__pow__ __rpow__ __div__ __rdiv__ __and__ __or__ __xor__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
    """
)

_REDUCED = names("mean sum amax amin max min var std prod logsumexp any all argmax argmin median var_mean std_mean")

_OTHERS: Mapping[str, Rule] = MappingProxyType(
    {
        "norm": norm,
        "cat": joined,
        "concat": joined,
        "concatenate": joined,
        "stack": stacked,
        "permute": permuted,
        "transpose": transposed,
        "swapaxes": transposed,
        "swapdims": transposed,
        "t": matrix_transposed,
        "flatten": flattened,
        "reshape": reshaped,
        "view": reshaped,
        "unflatten": unflattened,
        "unsqueeze": unsqueezed,
        "squeeze": squeezed,
        "expand": expanded,
        "expand_as": shaped_as,
        "view_as": shaped_as,
        "reshape_as": shaped_as,
        "repeat": repeated,
        "chunk": chunked,
        "split": split,
        "unbind": unbound,
        "narrow": narrowed,
        "select": selected,
        "__getitem__": getitem,
        "__setitem__": setitem,
        "matmul": matmul,
        "bmm": matmul,
        "mm": matmul,
        "__matmul__": matmul,
        "linear": linear,
        "scaled_dot_product_attention": attention,
        "einsum": einsum,
        **dict.fromkeys(("zeros", "ones", "empty", "rand", "randn", "new_zeros", "new_ones", "new_empty"), created),
        "full": filled,
        "new_full": filled,
        "arange": counted,
        "linspace": spaced,
        "meshgrid": grid,
        "grid_sample": grid_sampled,
    }
)

SHAPE_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_FIRST, first),
        **{f"{name}_": first for name in (*_FIRST, *_BROADCAST) if not name.startswith("__")},
        **{f"__i{name[2:]}": first for name in _BROADCAST if name.startswith("__")},
        **dict.fromkeys(_BROADCAST, broadcast),
        **dict.fromkeys(_REDUCED, reduced),
        **_OTHERS,
    }
)
"""The rules by the functions' names."""
