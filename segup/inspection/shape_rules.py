# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that work value by value, reduce, join, multiply or create maps, and the table.

Others by their idea: :mod:`view_rules`, :mod:`part_rules`, :mod:`window_rules`, :mod:`norm_rules`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from segup.inspection.part_rules import PART_RULES
from segup.inspection.sizes import NotFollowedError, Rule, Shape, Sizes, broadcast_shapes, fitted
from segup.inspection.traced import Dim, TracedSize, plain
from segup.inspection.view_rules import VIEW_RULES


def first(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor: activations, copies, and what works value by value."""
    shape, *others = [sizes.of(tensor) for tensor in _tensors((*args, *kwargs.values()))]
    if any(type(dim) is TracedSize for other in others for dim in other):
        raise NotFollowedError
    return shape


def like(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, whatever the others are: conversions to another's type."""
    sizes.any_will_do((*args, *kwargs.values()))
    return sizes.of(input)


def any_number(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, which torch fills with any size, or cuts by it.

    In fewer than four bytes it refuses large ones.
    """
    if (kwargs.get("dtype") or input.dtype).itemsize >= 4:
        sizes.any_will_do((*args, *kwargs.values()))
    return first(sizes, input, *args, **kwargs)


def rolled(sizes: Sizes, input: Any, shifts: Any, dims: Any = ()) -> Shape:
    """Return the shape of the tensor, which can be shifted by any number."""
    sizes.any_will_do(shifts if isinstance(shifts, list | tuple) else (shifts,))
    return sizes.of(input)


def in_place(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, to which torch brings the others without changing it."""
    shape = sizes.of(input)
    if input.is_floating_point():
        sizes.any_will_do((*args, *kwargs.values()))
    for other in _tensors((*args, *kwargs.values())):
        fitted(sizes, shape, sizes.of(other))
    return shape


def normalized(sizes: Sizes, input: Any, normalized_shape: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after a norm over the last dimensions, whose sizes are given."""
    shape = sizes.of(input)
    wanted = tuple(normalized_shape)
    for size, given in zip(shape[len(shape) - len(wanted) :], wanted, strict=True):
        sizes.require(size, "==", given, f"a norm over {plain(given)} values is given {plain(size)}")
    return shape


def chosen(sizes: Sizes, condition: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.where`` with values to choose from; without them it counts by content."""
    if not args and not kwargs:
        raise NotFollowedError
    return broadcast(sizes, condition, *args, **kwargs)


def broadcast(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape that all tensors are brought to: arithmetic and comparisons."""
    sizes.any_will_do((*args, *kwargs.values()))
    shapes = [sizes.of(tensor) for tensor in _tensors((*args, *kwargs.values()))]
    return broadcast_shapes(sizes, shapes)


def divided(sizes: Sizes, input: Any, other: Any, *, rounding_mode: str | None = "floor") -> Shape:
    """Return the shape after a division that is rounded, which torch refuses of whole numbers by 0."""
    if type(other) is TracedSize and rounding_mode and not input.is_floating_point():
        sizes.require(other, "!=", 0, "a map of whole numbers is divided by 0")
    return broadcast(sizes, input, other)


def quotient(sizes: Sizes, input: Any, other: Any, *, rounding_mode: str | None = None) -> Shape:
    """Return the shape after a division that is not rounded unless that is asked for."""
    return divided(sizes, input, other, rounding_mode=rounding_mode)


def raised(sizes: Sizes, input: Any, exponent: Any) -> Shape:
    """Return the shape after a power, which torch refuses of whole numbers below 0."""
    if type(exponent) is TracedSize and not input.is_floating_point():
        sizes.require(exponent, ">=", 0, f"a map of whole numbers is raised to {plain(exponent)}")
    return broadcast(sizes, input, exponent)


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


def matmul(sizes: Sizes, input: Any, other: Any) -> Shape:
    """Return the shape of a matrix product."""
    one, two = sizes.of(input), sizes.of(other)
    if len(one) < 2 or len(two) < 2:
        raise NotFollowedError
    sizes.require(one[-1], "==", two[-2], f"matrices of {plain(one[-1])} columns and {plain(two[-2])} rows")
    return (*broadcast_shapes(sizes, [one[:-2], two[:-2]]), one[-2], two[-1])


def batched_matmul(sizes: Sizes, input: Any, mat2: Any) -> Shape:
    """Return the shape of matrix products one by one, whose number is the same on both sides."""
    one, two = sizes.of(input), sizes.of(mat2)
    sizes.require(one[0], "==", two[0], f"{plain(one[0])} matrices are multiplied by {plain(two[0])}")
    return matmul(sizes, input, mat2)


def linear(sizes: Sizes, input: Any, weight: Any, bias: Any = None) -> Shape:
    """Return the shape after a linear layer over the last dimension."""
    shape, (out, channels) = sizes.of(input), sizes.of(weight)
    sizes.require(shape[-1], "==", channels, f"a linear layer of {plain(channels)} inputs is given {plain(shape[-1])}")
    return (*shape[:-1], out)


def attention(
    sizes: Sizes,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Shape:
    """Return the shape after scaled dot-product attention."""
    one, two, three = sizes.of(query), sizes.of(key), sizes.of(value)
    if enable_gqa or len({len(one), len(two), len(three)}) > 1:
        raise NotFollowedError
    sizes.require(one[-1], "==", two[-1], f"queries of {plain(one[-1])} channels meet keys of {plain(two[-1])}")
    sizes.require(two[-2], "==", three[-2], f"{plain(two[-2])} keys are given {plain(three[-2])} values")
    heads = broadcast_shapes(sizes, [one[:-2], two[:-2], three[:-2]])
    if attn_mask is not None:
        fitted(sizes, (*heads, one[-2], two[-2]), sizes.of(attn_mask))
    sizes.record.shapes.append((*heads, one[-2], two[-2]))  # which torch may make within
    return (*heads, one[-2], three[-1])


def einsum(sizes: Sizes, equation: Any, *operands: Any) -> Shape:
    """Return the shape of a sum over letters."""
    if not isinstance(equation, str) or "->" not in equation or "." in equation:
        raise NotFollowedError
    tensors = operands[0] if len(operands) == 1 and not isinstance(operands[0], Tensor) else operands
    inputs, output = equation.replace(" ", "").split("->")
    found: dict[str, Dim] = {}
    for letters, tensor in zip(inputs.split(","), tensors, strict=True):
        own: dict[str, Dim] = {}
        for letter, size in zip(letters, sizes.of(tensor), strict=True):
            words = f"'{letter}' of '{equation}' is {plain(size)} and {plain(own.get(letter, size))}"
            own[letter] = sizes.equal(own.get(letter, size), size, words)
        for letter, size in own.items():
            found[letter] = broadcast_shapes(sizes, [(found.get(letter, 1),), (size,)])[0]
    return tuple(found[letter] for letter in output)


def created(sizes: Sizes, *shape: Any, **kwargs: Any) -> Shape:
    """Return the shape of a new tensor: ``torch.zeros(2, 3)`` and ``x.new_zeros((2, 3))``."""
    sizes.any_will_do(_tensors(shape))  # of which a new one takes its type
    shape = tuple(part for part in shape if not isinstance(part, Tensor)) or (kwargs.get("size", ()),)
    wanted = shape[0] if not isinstance(shape[0], int) else shape
    if any(not isinstance(dim, int) for dim in wanted):
        raise NotFollowedError
    return tuple(counted_rows(sizes, dim) for dim in wanted)


def filled(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.full(size, value)``; in four bytes any size fits as a value."""
    if kwargs.get("dtype", torch.float32).itemsize >= 4:
        sizes.any_will_do((*args[-1:], *kwargs.values()))
    given = [kwargs["size"]] if "size" in kwargs else [part for part in args if not isinstance(part, Tensor)][:1]
    return created(sizes, *_tensors(args), *given)


def counted(sizes: Sizes, start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Shape:
    """Return the length of ``torch.arange`` in steps of 1."""
    low, high = (0, start) if end is None else (start, end)
    if type(step) is not int or step != 1 or not (isinstance(low, int) and isinstance(high, int)):
        raise NotFollowedError
    return (counted_rows(sizes, high - low),)


def counted_rows(sizes: Sizes, count: Dim) -> Dim:
    """Return a number of rows that is asked for, which cannot be below 0."""
    sizes.require(count, ">=", 0, f"a map of {plain(count)} rows is asked for")
    return count


def spaced(sizes: Sizes, start: Any, end: Any, steps: Any, **kwargs: Any) -> Shape:
    """Return the length of ``torch.linspace``."""
    sizes.any_will_do((start, end))
    return (counted_rows(sizes, steps),)


def grid(sizes: Sizes, *tensors: Any, indexing: str | None = None) -> list[Shape]:
    """Return the shapes of ``torch.meshgrid``."""
    parts = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    lengths = [sizes.of(part)[0] for part in parts]
    order = [lengths[1], lengths[0], *lengths[2:]] if indexing == "xy" and len(lengths) > 1 else lengths
    return [tuple(order)] * len(lengths)


def grid_sampled(sizes: Sizes, input: Any, grid: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of a sampled map: that of the grid."""
    image, places = sizes.of(input), sizes.of(grid)
    sizes.require(image[0], "==", places[0], f"{plain(image[0])} maps are sampled at places of {plain(places[0])}")
    sizes.require(places[-1], "==", len(image) - 2, f"places of {plain(places[-1])} coordinates in {len(image) - 2}")
    for size in image[2:]:
        sizes.require(size, ">=", 1, "a map without pixels is sampled")
    return (*image[:2], *places[1:-1])


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
logsigmoid threshold rrelu hardshrink softshrink tanhshrink dropout dropout1d dropout2d dropout3d alpha_dropout
feature_dropout feature_alpha_dropout local_response_norm
normalize softmax log_softmax softmin exp exp2 expm1 log log2 log10 log1p sqrt rsqrt abs neg sign sin cos tan sinh cosh
asin acos atan floor ceil round trunc frac reciprocal square erf erfc logical_not bitwise_not isnan isinf isfinite
nan_to_num contiguous clone detach float half double bfloat16 long int bool type cpu cuda requires_grad
zeros_like ones_like empty_like rand_like randn_like zero cumsum cumprod flip sort
argsort bernoulli normal uniform positive pin_memory __neg__ __invert__ __abs__ __pos__
sgn logit expit alias __deepcopy__
    """
)

_OF_ANY_NUMBER = names("full_like fill triu tril")

_BROADCAST = names(
    """
add sub subtract mul multiply div divide true_divide floor_divide pow maximum minimum fmax fmin lerp addcmul
addcdiv eq ne lt le gt ge not_equal greater less greater_equal less_equal logical_and logical_or logical_xor
bitwise_and bitwise_or bitwise_xor masked_fill atan2 fmod remainder rsub clamp clamp_min clamp_max clip hypot copysign
__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__ __mod__ __rmod__
__pow__ __rpow__ __div__ __rdiv__ __and__ __or__ __xor__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
    """
)

_REDUCED = names("mean sum var std prod logsumexp any all var_mean std_mean")

_EXTREME = names("amax amin max min argmax argmin median")

_OTHERS: Mapping[str, Rule] = MappingProxyType(
    {
        "norm": norm,
        "roll": rolled,
        **dict.fromkeys(("layer_norm", "rms_norm"), normalized),
        **dict.fromkeys(("to", "type_as"), like),
        "cat": joined,
        "concat": joined,
        "concatenate": joined,
        "stack": stacked,
        "matmul": matmul,
        "bmm": batched_matmul,
        "mm": matmul,
        "__matmul__": matmul,
        "linear": linear,
        "scaled_dot_product_attention": attention,
        "einsum": einsum,
        "where": chosen,
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
        **{f"{name}_": first for name in _FIRST if not name.startswith("__")},
        **{f"{name}_": in_place for name in (*_BROADCAST, "copy") if not name.startswith("__")},
        **{f"__i{name[2:]}": in_place for name in _BROADCAST if name.startswith("__")},
        **dict.fromkeys(_BROADCAST, broadcast),
        **dict.fromkeys(("floor_divide", "fmod", "remainder", "__floordiv__", "__mod__"), divided),
        **dict.fromkeys(("div", "divide"), quotient),
        **dict.fromkeys(("pow", "__pow__"), raised),
        **dict.fromkeys((*_OF_ANY_NUMBER, *(f"{name}_" for name in _OF_ANY_NUMBER)), any_number),
        **dict.fromkeys(_REDUCED, reduced),
        **dict.fromkeys(_EXTREME, extreme),
        **VIEW_RULES,
        **PART_RULES,
        **_OTHERS,
    }
)
"""The rules by the functions' names."""
