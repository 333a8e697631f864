# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that join maps, or multiply matrices."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from segup.inspection.calls import Reading
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, broadcast_shapes, fitted, unpacked
from segup.inspection.traced import Dim, TracedSize, as_int


def joined(sizes: Sizes, tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Shape:
    """Return the shape of maps put one after the other."""
    sizes.said.aligned = True
    parts = [tensor for tensor in tensors if tuple(tensor.shape) != (0,)]
    shapes = [sizes.of(tensor) for tensor in parts]
    rank = len(shapes[0])
    place = (dim if axis is None else axis) % rank
    total: Dim = 0
    for tensor, shape in zip(parts, shapes, strict=True):
        if any(type(one[place]) is TracedSize for one in shapes):
            sizes.read(place, Reading.shifted(total), of=tensor)
        total = total + shape[place]
    rest = list(shapes[0])
    for shape in shapes[1:]:
        for i in range(rank):
            if i != place:
                words = f"maps of sizes {as_int(rest[i])} and {as_int(shape[i])} cannot be joined"
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
        raise NoRuleError
    sizes.require(one[-1], "==", two[-2], f"matrices of {as_int(one[-1])} columns and {as_int(two[-2])} rows")
    return (*broadcast_shapes(sizes, [one[:-2], two[:-2]]), one[-2], two[-1])


def batched_matmul(sizes: Sizes, input: Any, mat2: Any) -> Shape:
    """Return the shape of matrix products one by one, whose number is the same on both sides."""
    one, two = sizes.of(input), sizes.of(mat2)
    sizes.require(one[0], "==", two[0], f"{as_int(one[0])} matrices are multiplied by {as_int(two[0])}")
    return matmul(sizes, input, mat2)


def linear(sizes: Sizes, input: Any, weight: Any, bias: Any = None) -> Shape:
    """Return the shape after a linear layer over the last dimension."""
    shape, (out, channels) = sizes.of(input), sizes.of(weight)
    sizes.require(
        shape[-1], "==", channels, f"a linear layer of {as_int(channels)} inputs is given {as_int(shape[-1])}"
    )
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
        raise NoRuleError
    sizes.require(one[-1], "==", two[-1], f"queries of {as_int(one[-1])} channels meet keys of {as_int(two[-1])}")
    sizes.require(two[-2], "==", three[-2], f"{as_int(two[-2])} keys are given {as_int(three[-2])} values")
    heads = broadcast_shapes(sizes, [one[:-2], two[:-2], three[:-2]])
    if attn_mask is not None:
        fitted(sizes, (*heads, one[-2], two[-2]), sizes.of(attn_mask))
    sizes.record.shapes.append((*heads, one[-2], two[-2]))  # which torch may make within
    return (*heads, one[-2], three[-1])


def einsum(sizes: Sizes, equation: Any, *operands: Any) -> Shape:
    """Return the shape of a sum over letters."""
    if not isinstance(equation, str) or "->" not in equation or "." in equation:
        raise NoRuleError
    inputs, output = equation.replace(" ", "").split("->")
    found: dict[str, Dim] = {}
    for letters, tensor in zip(inputs.split(","), unpacked(operands), strict=True):
        own: dict[str, Dim] = {}
        for letter, size in zip(letters, sizes.of(tensor), strict=True):
            words = f"'{letter}' of '{equation}' is {as_int(size)} and {as_int(own.get(letter, size))}"
            own[letter] = sizes.equal(own.get(letter, size), size, words)
        for letter, size in own.items():
            found[letter] = broadcast_shapes(sizes, [(found.get(letter, 1),), (size,)])[0]
    return tuple(found[letter] for letter in output)


def recurrent(
    sizes: Sizes,
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Shape]:
    """Return the shapes after a recurrent layer over a sequence: its outputs, then its last states."""
    if isinstance(params, Tensor):  # of packed sequences, whose second argument is their lengths
        raise NoRuleError
    length = sizes.of(input)[-2 if batch_first else -3]
    sizes.require(length, ">=", 1, f"a recurrent layer is given a sequence of {as_int(length)}")
    states = [sizes.of(state) for state in (hx if isinstance(hx, list | tuple) else [hx])]
    return [(*sizes.of(input)[:-1], (2 if bidirectional else 1) * states[0][-1]), *states]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("cat", "concat", "concatenate"), joined),
    "stack": stacked,
    **dict.fromkeys(("matmul", "mm", "__matmul__"), matmul),
    "bmm": batched_matmul,
    "linear": linear,
    "scaled_dot_product_attention": attention,
    "einsum": einsum,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent),
}
