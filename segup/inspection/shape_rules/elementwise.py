# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that work value by value: activations, copies, arithmetic, comparisons."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from segup.inspection.shape_rules.sizes import (
    NoRuleError,
    Rule,
    Shape,
    Sizes,
    broadcast_shapes,
    fitted,
    names,
    takes_any_size,
    tensors_in,
)
from segup.inspection.traced import TracedSize, as_int


def first(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor: activations, copies, and what works value by value."""
    shape, *others = [sizes.of(tensor) for tensor in tensors_in((*args, *kwargs.values()))]
    if any(type(dim) is TracedSize for other in others for dim in other):
        raise NoRuleError
    return shape


def like(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, whatever the others are: conversions to another's type."""
    sizes.any_will_do((*args, *kwargs.values()))
    return sizes.of(input)


def any_number(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, which torch fills with any size, or cuts by it.

    It refuses those that are no values of its type.
    """
    if takes_any_size(kwargs.get("dtype") or input.dtype):
        sizes.any_will_do((*args, *kwargs.values()))
    return first(sizes, input, *args, **kwargs)


def rolled(sizes: Sizes, input: Any, shifts: Any, dims: Any = ()) -> Shape:
    """Return the shape of the tensor, which can be shifted by any number."""
    sizes.any_will_do(shifts if isinstance(shifts, list | tuple) else (shifts,))
    return sizes.of(input)


def in_place(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of the first tensor, to which torch brings the others without changing it."""
    shape = sizes.of(input)
    if input.is_floating_point() and takes_any_size(input.dtype):
        sizes.any_will_do((*args, *kwargs.values()))
    for other in tensors_in((*args, *kwargs.values())):
        fitted(sizes, shape, sizes.of(other))
    return shape


def chosen(sizes: Sizes, condition: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of ``torch.where`` with values to choose from; without them it counts by content."""
    if not args and not kwargs:
        raise NoRuleError
    return broadcast(sizes, condition, *args, **kwargs)


def broadcast(sizes: Sizes, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape that all tensors are brought to: arithmetic and comparisons.

    Torch takes a size as a number where it is a value of their type.
    """
    tensors = tensors_in((*args, *kwargs.values()))
    if any(takes_any_size(tensor.dtype) for tensor in tensors):
        sizes.any_will_do((*args, *kwargs.values()))
    return broadcast_shapes(sizes, [sizes.of(tensor) for tensor in tensors])


def divided(sizes: Sizes, input: Any, other: Any, *, rounding_mode: str | None = "floor") -> Shape:
    """Return the shape after a division that is rounded, which torch refuses of whole numbers by 0."""
    if type(other) is TracedSize and rounding_mode and not input.is_floating_point():
        sizes.require(other, "!=", 0, "a map of whole numbers is divided by 0")
    return broadcast(sizes, input, other)


def raised(sizes: Sizes, input: Any, exponent: Any) -> Shape:
    """Return the shape after a power, which torch refuses of whole numbers below 0."""
    if type(exponent) is TracedSize and not input.is_floating_point():
        sizes.require(exponent, ">=", 0, f"a map of whole numbers is raised to {as_int(exponent)}")
    return broadcast(sizes, input, exponent)


_FIRST = names(
    """
relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus softsign
logsigmoid threshold rrelu hardshrink softshrink tanhshrink dropout dropout1d dropout2d dropout3d alpha_dropout
feature_dropout feature_alpha_dropout local_response_norm gumbel_softmax
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

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_FIRST, first),
    **{f"{name}_": first for name in _FIRST if not name.startswith("__")},
    **{f"{name}_": in_place for name in (*_BROADCAST, "copy") if not name.startswith("__")},
    **{f"__i{name[2:]}": in_place for name in _BROADCAST if name.startswith("__")},
    **dict.fromkeys(_BROADCAST, broadcast),
    **dict.fromkeys(("floor_divide", "fmod", "remainder", "__floordiv__", "__mod__"), divided),
    **dict.fromkeys(("div", "divide"), partial(divided, rounding_mode=None)),
    **dict.fromkeys(("pow", "__pow__"), raised),
    **dict.fromkeys((*_OF_ANY_NUMBER, *(f"{name}_" for name in _OF_ANY_NUMBER)), any_number),
    **dict.fromkeys(("to", "type_as"), like),
    "roll": rolled,
    "where": chosen,
}
