# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that slide a window over a map: each builds its object of ``segup.shapes``."""

from collections.abc import Mapping
from typing import Any

from segup.inspection.calls import Reading
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, fixed, product
from segup.inspection.shape_rules.through import apply, made_here, pair, reads, through, two
from segup.inspection.traced import TracedSize, as_int, same
from segup.shapes import Conv, ConvTranspose, Pool
from segup.shapes.arguments import AXIS_NAMES


def conv2d(
    sizes: Sizes,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Shape:
    """Return the shape after a convolution."""
    out_channels, per_group, *kernel = fixed(sizes.of(weight))
    _check_channels(sizes, input, per_group * groups, "convolution")
    layer = Conv(pair(kernel), pair(stride), padding if isinstance(padding, str) else pair(padding), pair(dilation))
    return through(sizes, layer, sizes.of(input), out_channels)


def conv_transpose2d(
    sizes: Sizes,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Shape:
    """Return the shape after a transposed convolution; output_padding may depend on the sizes (``output_size``)."""
    in_channels, per_group, *kernel = fixed(sizes.of(weight))
    _check_channels(sizes, input, in_channels, "transposed convolution")
    layer = ConvTranspose(pair(kernel), pair(stride), pair(padding), dilation=pair(dilation))
    before = sizes.of(input)
    reads(sizes, layer, len(before))
    extra = two(output_padding)
    outs = []
    for axis, size, more, name in zip(layer.axes, before[-2:], extra, AXIS_NAMES, strict=True):
        sizes.require(more, ">=", 0, f"output_padding {as_int(more)} of '{layer}' is below 0")
        most = max(axis.stride, axis.dilation)
        sizes.require(most, ">", more, f"output_padding {as_int(more)} of '{layer}' must be below {most}")
        out = apply(sizes, axis, size) + more
        sizes.require(out, ">=", 1, f"'{layer}' brings {name} {as_int(size)} to {as_int(out)}, below 1")
        outs.append(made_here(sizes, out))
    return (*before[:-3], per_group * groups, *outs)


def conv1d(
    sizes: Sizes,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Shape:
    """Return the shape after a convolution of sequences."""
    out_channels, per_group, kernel = fixed(sizes.of(weight))
    _check_channels(sizes, input, per_group * groups, "convolution", -2)
    return _along(sizes, Conv(kernel, _one(stride), _one(padding), _one(dilation)), sizes.of(input), out_channels)


def conv_transpose1d(
    sizes: Sizes,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Shape:
    """Return the shape after a transposed convolution of sequences."""
    in_channels, per_group, kernel = fixed(sizes.of(weight))
    _check_channels(sizes, input, in_channels, "transposed convolution", -2)
    layer = ConvTranspose(kernel, _one(stride), _one(padding), _one(output_padding), _one(dilation))
    return _along(sizes, layer, sizes.of(input), per_group * groups)


def _one(value: Any) -> Any:
    """Return torch's int or sequence of one int as that int; padding may be a word."""
    (one,) = fixed([value] if isinstance(value, int | str) else value)
    return one


def _along(sizes: Sizes, layer: Any, before: Shape, channels: int) -> Shape:
    """Return a sequence's shape after a layer that is applied to its last dimension."""
    sizes.said.words, (axis, _) = str(layer), layer.axes
    sizes.read(len(before) - 1, Reading.of(axis))
    return (*before[:-2], channels, made_here(sizes, apply(sizes, axis, before[-1], str(layer))))


def pooled(*order: str) -> Rule:
    """Return the rule of a pooling whose parameters come in this order; of values and of indices."""

    def rule(sizes: Sizes, input: Any, *args: Any, **kwargs: Any) -> Shape:
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        before, kernel, stride = sizes.of(input), two(given["kernel_size"]), given.get("stride")
        padding, dilation = pair(given.get("padding", 0)), pair(given.get("dilation", 1))
        if any(type(part) is TracedSize for part in kernel):  # one window as large as the map: x.shape[-2:]
            if padding != (0, 0) or dilation != (1, 1) or not all(map(same, before[-2:], kernel)):
                raise NoRuleError
            return (*before[:-2], 1, 1)
        ceil_mode = given.get("ceil_mode", False)
        return through(
            sizes, Pool(pair(kernel), pair(stride) if stride else None, padding, dilation, ceil_mode), before
        )

    return rule


def max_unpool2d(
    sizes: Sizes,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Shape:
    """Return the shape after unpooling: the size asked for, or the smallest that the pooling makes this of."""
    before = sizes.of(input)
    for size, found in zip(before, sizes.of(indices), strict=True):
        sizes.require(size, "==", found, f"{as_int(size)} rows are unpooled by {as_int(found)} of indices")
    layer = ConvTranspose(pair(kernel_size), pair(stride or kernel_size), pair(padding))
    reads(sizes, layer, len(before))
    smallest = [apply(sizes, axis, size) for axis, size in zip(layer.axes, before[-2:], strict=True)]
    if output_size is None:
        outs = smallest
    else:
        outs = list(output_size)[-2:]
        for out, default, axis in zip(outs, smallest, layer.axes, strict=True):
            message = f"max_unpool2d brings no map to {as_int(out)} from {as_int(default)} with stride {axis.stride}"
            sizes.require(out, ">", default - axis.stride, message)
            sizes.require(default + axis.stride, ">", out, message)
    return (*before[:-2], *(made_here(sizes, out) for out in outs))


def unfold(
    sizes: Sizes,
    input: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Shape:
    """Return the shape of the windows of a map, side by side."""
    before = sizes.of(input)
    kernel = pair(kernel_size)
    rows, columns = through(sizes, Conv(kernel, pair(stride), pair(padding), pair(dilation)), before)[-2:]
    return (*before[:-3], before[-3] * kernel[0] * kernel[1], product((rows, columns)))


def fold(
    sizes: Sizes,
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Shape:
    """Return the shape of the map whose windows these are: its size is asked for, and has to have as many."""
    before, (height, width), kernel = sizes.of(input), two(output_size), pair(kernel_size)
    layer = Conv(kernel, pair(stride), pair(padding), pair(dilation))
    values, found = fixed([before[-2]])[0], before[-1]
    windows = product(through(sizes, layer, (values, height, width))[-2:])
    if not same(found, windows):
        raise NoRuleError
    sizes.said.words, channels = f"fold of {layer}", values // (kernel[0] * kernel[1])
    return (*before[:-2], channels, made_here(sizes, height), made_here(sizes, width))


def unfold_one(sizes: Sizes, input: Any, dimension: int, size: int, step: int) -> Shape:
    """Return the shape of the windows of one dimension, each in a new last one: ``Tensor.unfold``."""
    shape = list(sizes.of(input))
    shape[dimension] = made_here(sizes, apply(sizes, Conv(size, step).axes[0], shape[dimension], "unfold"))
    return (*shape, size)


def _check_channels(sizes: Sizes, x: Any, wanted: int, kind: str, place: int = -3) -> None:
    """Require that ``x`` has the channels that a layer takes."""
    given = sizes.of(x)[place]
    sizes.require(given, "==", wanted, f"a {kind} of {wanted} channels is given {as_int(given)}")


RULES: Mapping[str, Rule] = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "conv1d": conv1d,
    "conv_transpose1d": conv_transpose1d,
    "fold": fold,
    **dict.fromkeys(
        ("max_pool2d", "max_pool2d_with_indices"),
        pooled("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    ),
    "avg_pool2d": pooled("kernel_size", "stride", "padding", "ceil_mode"),
    "lp_pool2d": pooled("norm_type", "kernel_size", "stride", "ceil_mode"),
    "max_unpool2d": max_unpool2d,
    "unfold": unfold,
    "Tensor.unfold": unfold_one,
}
