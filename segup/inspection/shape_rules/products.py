# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that join maps, or multiply matrices."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from segup.inspection.calls import Reading
from segup.inspection.shape_rules.sizes import (
    NoRuleError,
    Rule,
    Shape,
    Sizes,
    broadcast_shapes,
    fitted,
    fixed,
    unpacked,
)
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


def joined_along(place: int) -> Rule:
    """Return the rule of a join along one dimension of maps that have it: ``hstack``, ``vstack`` and ``dstack``."""

    def rule(sizes: Sizes, tensors: Any) -> Shape:
        if any(len(sizes.of(tensor)) <= max(place, 1) for tensor in tensors):
            raise NoRuleError
        return joined(sizes, tensors, place)

    return rule


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


def matmul_added(product: Callable[..., Shape]) -> Rule:
    """Return the rule of a matrix product that is added to a map, which has to fit."""

    def rule(sizes: Sizes, input: Any, one: Any, other: Any, *, beta: Any = 1, alpha: Any = 1) -> Shape:
        shape = product(sizes, one, other)
        fitted(sizes, shape, sizes.of(input))
        return shape

    return rule


def summed_matmul(sizes: Sizes, batch1: Any, batch2: Any) -> Shape:
    """Return the shape of a sum of matrix products."""
    return batched_matmul(sizes, batch1, batch2)[1:]


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


def multi_head_attention(
    sizes: Sizes,
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> list[Shape]:
    """Return the shapes after attention of several heads: the tokens, then the weights where they are asked for."""
    one, two, three = sizes.of(query), sizes.of(key), sizes.of(value)
    if static_k is not None or static_v is not None or not len(one) == len(two) == len(three) in (2, 3):
        raise NoRuleError
    fixed([one[-1], two[-1], three[-1]])
    (asks, *batch), (answers, *others) = one[:-1], two[:-1]
    for mine, theirs in zip((*batch, answers, *others), (*others, *three[:-1]), strict=True):
        sizes.require(mine, "==", theirs, f"queries, keys and values of {as_int(mine)} and {as_int(theirs)} tokens")
    for tokens in (asks, answers, *batch):
        sizes.decide(tokens, ">=", 1)  # without tokens torch may go another way
    scores: Shape = (*(count * num_heads for count in batch or (1,)), asks, answers)
    for mask, wanted in ((attn_mask, scores), (key_padding_mask, (*batch, answers))):
        given = () if mask is None else sizes.of(mask)
        for mine, theirs in zip(given, wanted[len(wanted) - len(given) :], strict=True):
            sizes.require(mine, "==", theirs, f"a mask of {as_int(mine)} is given for {as_int(theirs)} tokens")
    sizes.record.shapes.append(scores)
    more = (bias_k is not None) + bool(add_zero_attn)
    heads = () if average_attn_weights else (num_heads,)
    return [one, *([(*batch, *heads, asks, answers + more)] if need_weights else [])]


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
    **dict.fromkeys(("vstack", "row_stack"), joined_along(0)),
    **dict.fromkeys(("hstack", "column_stack"), joined_along(1)),
    "dstack": joined_along(2),
    **dict.fromkeys(("matmul", "mm", "__matmul__"), matmul),
    "bmm": batched_matmul,
    "addmm": matmul_added(matmul),
    "baddbmm": matmul_added(batched_matmul),
    "addbmm": matmul_added(summed_matmul),
    "linear": linear,
    "scaled_dot_product_attention": attention,
    "multi_head_attention_forward": multi_head_attention,
    "einsum": einsum,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent),
}
