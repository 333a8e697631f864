# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that the size calculus is about: each builds its object of ``segup.shapes``."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError
from segup.inspection.lines import Line, PeriodTooLongError
from segup.inspection.record import Extent
from segup.inspection.sizes import NotFollowedError, Rule, Shape, Sizes, product
from segup.inspection.traced import Dim, TracedSize, extent_of, plain, same
from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize
from segup.shapes.arguments import AXIS_NAMES
from segup.shapes.layer import LawAxis, Layer


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
    out_channels, per_group, *kernel = _fixed(sizes.of(weight))
    _check_channels(sizes, input, per_group * groups, "convolution")
    layer = Conv(pair(kernel), pair(stride), padding if isinstance(padding, str) else pair(padding), pair(dilation))
    return _through(sizes, layer, sizes.of(input), out_channels)


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
    in_channels, per_group, *kernel = _fixed(sizes.of(weight))
    _check_channels(sizes, input, in_channels, "transposed convolution")
    layer = ConvTranspose(pair(kernel), pair(stride), pair(padding), dilation=pair(dilation))
    before = sizes.of(input)
    extra = _two(output_padding)
    outs = []
    for axis, size, more, name in zip(layer.axes, before[-2:], extra, AXIS_NAMES, strict=True):
        sizes.require(more, ">=", 0, f"output_padding {plain(more)} of '{layer}' is below 0")
        most = max(axis.stride, axis.dilation)
        sizes.require(most, ">", more, f"output_padding {plain(more)} of '{layer}' must be below {most}")
        out = _apply(sizes, axis, size) + more
        sizes.require(out, ">=", 1, f"'{layer}' brings {name} {plain(size)} to {plain(out)}, below 1")
        outs.append(_new(sizes, out))
    return (*before[:-3], per_group * groups, *outs)


def max_pool2d(
    sizes: Sizes,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Shape:
    """Return the shape after a maximum pooling, of the values and of the indices."""
    before, kernel = sizes.of(input), _two(kernel_size)
    if any(type(part) is TracedSize for part in kernel):
        return _pooled_whole(before, kernel, pair(padding), pair(dilation))
    layer = Pool(pair(kernel), pair(stride) if stride else None, pair(padding), pair(dilation), ceil_mode)
    return _through(sizes, layer, before)


def _pooled_whole(before: Shape, kernel: Sequence[Dim], padding: Sequence[Dim], dilation: Sequence[Dim]) -> Shape:
    """Return the shape after one window that is as large as the map: ``avg_pool2d(x, x.shape[-2:])``."""
    if padding != (0, 0) or dilation != (1, 1) or not all(map(same, before[-2:], kernel)):
        raise NotFollowedError
    return (*before[:-2], 1, 1)


def avg_pool2d(
    sizes: Sizes,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Shape:
    """Return the shape after an average pooling."""
    return max_pool2d(sizes, input, kernel_size, stride, padding, 1, ceil_mode)


def lp_pool2d(
    sizes: Sizes,
    input: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Shape:
    """Return the shape after a power-average pooling."""
    return max_pool2d(sizes, input, kernel_size, stride, 0, 1, ceil_mode)


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
        sizes.require(size, "==", found, f"{plain(size)} rows are unpooled by {plain(found)} of indices")
    layer = ConvTranspose(pair(kernel_size), pair(stride or kernel_size), pair(padding))
    smallest = [_apply(sizes, axis, size) for axis, size in zip(layer.axes, before[-2:], strict=True)]
    if output_size is None:
        outs = smallest
    else:
        outs = list(output_size)[-2:]
        for out, default, axis in zip(outs, smallest, layer.axes, strict=True):
            message = f"max_unpool2d brings no map to {plain(out)} from {plain(default)} with stride {axis.stride}"
            sizes.require(out, ">", default - axis.stride, message)
            sizes.require(default + axis.stride, ">", out, message)
    return (*before[:-2], *(_new(sizes, out) for out in outs))


def adaptive_pool2d(sizes: Sizes, input: Any, output_size: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after adaptive pooling: the size asked for, whatever comes in."""
    before = sizes.of(input)
    asked = list(zip(_two(output_size), before[-2:], strict=True))
    for wanted, size in asked:
        sizes.require(size, ">=", 1, "a map without pixels is pooled")
        if wanted is not None:
            sizes.require(wanted, ">=", 0, f"a map is pooled to {plain(wanted)} rows")
    return (*before[:-2], *(size if wanted is None else _new(sizes, wanted) for wanted, size in asked))


def interpolate(
    sizes: Sizes,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    *args: Any,
    **kwargs: Any,
) -> Shape:
    """Return the shape after a resize, to a size or by a factor."""
    before = sizes.of(input)
    if len(before) != 4:
        raise NotFollowedError
    for dim in before[2:]:
        sizes.require(dim, ">=", 1, "a map without pixels is resized")
    if size is not None:
        wanted = _two(size)
        if any(not isinstance(part, int) for part in wanted):
            raise NotFollowedError
        for out, name in zip(wanted, AXIS_NAMES, strict=True):
            sizes.require(out, ">=", 1, f"a resize to {name} {plain(out)}, below 1")
        return (*before[:2], *(_new(sizes, out) for out in wanted))
    factors = [_dyadic(exact(factor)) for factor in _two(scale_factor)]
    outs = []
    for i, (factor, dim) in enumerate(zip(factors, before[-2:], strict=True)):
        axis = Resize(factor).axes[i]
        if isinstance(factor, float) and type(dim) is TracedSize:
            sizes.record.lose(f"a resize by the float {factor}, which torch rounds, in {sizes.record.where}")
            if plain(dim) < axis.least:
                raise ShapeError(f"a resize of {AXIS_NAMES[i]} {plain(dim)} by {factor} gives nothing")
            outs.append(sizes.made(axis.out(plain(dim)), None))
        else:
            outs.append(_new(sizes, _apply(sizes, axis, dim, "a resize")))
    return (*before[:2], *outs)


def upsample(sizes: Sizes, input: Any, size: Any = None, scale_factor: Any = None, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after one of torch's older names of a resize."""
    return interpolate(sizes, input, size, scale_factor)


def pixel_shuffle(sizes: Sizes, input: Any, upscale_factor: int) -> Shape:
    """Return the shape after depth to space."""
    before = sizes.of(input)
    channels = before[-3] // upscale_factor**2
    message = f"{plain(before[-3])} channels are no multiple of {upscale_factor**2}"
    sizes.require(before[-3] % upscale_factor**2, "==", 0, message)
    return _through(sizes, PixelShuffle(upscale_factor), before, channels)


def pixel_unshuffle(sizes: Sizes, input: Any, downscale_factor: int) -> Shape:
    """Return the shape after space to depth, which takes multiples of its factor alone."""
    before = sizes.of(input)
    for size, name in zip(before[-2:], AXIS_NAMES, strict=True):
        message = f"pixel_unshuffle by {downscale_factor} takes multiples of it alone, not {name} {plain(size)}"
        sizes.require(size % downscale_factor, "==", 0, message)
    layer = Pool(downscale_factor)
    return _through(sizes, layer, before, before[-3] * downscale_factor**2)


def pad(sizes: Sizes, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Shape:
    """Return the shape with rows added or cut at the ends; ``pad`` may depend on the sizes."""
    shape = list(sizes.of(input))
    ends = list(pad)
    for i in range(len(ends) // 2):
        place, before, after = len(shape) - 1 - i, ends[2 * i], ends[2 * i + 1]
        if not (isinstance(before, int) and isinstance(after, int)):
            raise NotFollowedError
        size = shape[place]
        for end in (before, after):
            if mode == "replicate":
                sizes.require(size, ">=", 1, "replicate padding needs a row")
            elif mode == "reflect":
                sizes.require(size, ">", end, f"{mode} padding of {plain(end)} needs more than {plain(size)} rows")
            elif mode == "circular":
                sizes.require(size, ">=", end, f"{mode} padding of {plain(end)} needs as many rows, not {plain(size)}")
        kept = size
        for end in (before, after):  # torch cuts first
            kept = kept if sizes.decide(end, ">=", 0) else kept + end
        sizes.require(kept, ">=", 0, f"padding by {plain(before)} and {plain(after)} leaves {plain(kept)} rows")
        shape[place] = _new(sizes, size + before + after)
    return tuple(shape)


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
    rows, columns = _through(sizes, Conv(kernel, pair(stride), pair(padding), pair(dilation)), before)[-2:]
    return (*before[:-3], before[-3] * kernel[0] * kernel[1], product((rows, columns)))


def unfold_one(sizes: Sizes, input: Any, dimension: int, size: int, step: int) -> Shape:
    """Return the shape of the windows of one dimension, each in a new last one: ``Tensor.unfold``."""
    shape = list(sizes.of(input))
    shape[dimension] = _new(sizes, _apply(sizes, Conv(size, step).axes[0], shape[dimension], "unfold"))
    return (*shape, size)


def pair(value: Any) -> tuple[int, int]:
    """Return torch's int or sequence of one or two ints as a (height, width) pair.

    >>> pair(3), pair([2]), pair((1, 2))
    ((3, 3), (2, 2), (1, 2))
    """
    height, width = _fixed(_two(value))
    return height, width


def _fixed(dims: Sequence[Any]) -> tuple[int, ...]:
    """Return sizes that do not depend on the input's.

    Raises:
        NotFollowedError: One does.
    """
    if any(type(dim) is TracedSize for dim in dims):
        raise NotFollowedError
    return tuple(dims)


def exact(factor: Any) -> int | float:
    """Return a resize factor: a float that is a whole number, as ``nn.Upsample`` stores it, is that int.

    >>> exact(2.0), exact(0.5)
    (2, 0.5)
    """
    if type(factor) is TracedSize or not isinstance(factor, int | float) or isinstance(factor, bool):
        raise NotFollowedError
    return int(factor) if float(factor).is_integer() else factor


def _dyadic(factor: int | float) -> int | float | Fraction:
    """Return a float that is a fraction of a small power of two, 0.5 or 1.25, as that: its products are exact."""
    fraction = Fraction(factor)
    return fraction if fraction.denominator <= 1024 else factor


def _two(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Sequence):
        parts = tuple(value)
        return (parts[0], parts[0]) if len(parts) == 1 else (parts[-2], parts[-1])
    return value, value


def _check_channels(sizes: Sizes, x: Any, wanted: int, kind: str) -> None:
    """Require that ``x`` has the channels that a layer takes."""
    given = sizes.of(x)[-3]
    sizes.require(given, "==", wanted, f"a {kind} of {wanted} channels is given {plain(given)}")


def _through(sizes: Sizes, layer: Layer[Any], before: Shape, channels: Any = None) -> Shape:
    outs = [_apply(sizes, axis, dim, str(layer)) for axis, dim in zip(layer.axes, before[-2:], strict=True)]
    head = before[:-2] if channels is None else (*before[:-3], channels)
    return (*head, *(_new(sizes, out) for out in outs))


def _apply(sizes: Sizes, axis: LawAxis, dim: Dim, words: str = "") -> Dim:
    """Return the size after one axis of a layer, its smallest input noted as required.

    Raises:
        ShapeError: The size is below it.
    """
    if words:
        message = (
            f"'{words}' does not accept size {plain(dim)}: {axis.size_rule(plain(dim))}; {axis.least} is the least"
        )
        sizes.require(dim, ">=", axis.least, message)
    value = axis.law(plain(dim))
    extent = extent_of(dim)
    single = extent.single() if extent is not None else None
    if type(dim) is int:
        return value
    if single is None:
        return sizes.made(value, None)
    try:
        line: Line = single[1].through(axis.law)
    except PeriodTooLongError as cause:
        sizes.record.lose(f"a size {cause}, in {sizes.record.where}")
        return sizes.made(value, None)
    return sizes.made(value, Extent.of(single[0], line))


def _new(sizes: Sizes, dim: Dim) -> Dim:
    """Return a size as made by this call, and keep its line."""
    if type(dim) is not TracedSize:
        return dim
    single = dim.extent.single() if dim.extent is not None else None
    if single is not None:
        sizes.record.lines[single[0]].add(single[1])
    return sizes.made(dim.value, dim.extent)


WINDOW_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "conv2d": conv2d,
        "conv_transpose2d": conv_transpose2d,
        "max_pool2d": max_pool2d,
        "max_pool2d_with_indices": max_pool2d,
        "avg_pool2d": avg_pool2d,
        "lp_pool2d": lp_pool2d,
        "max_unpool2d": max_unpool2d,
        "adaptive_avg_pool2d": adaptive_pool2d,
        "adaptive_max_pool2d": adaptive_pool2d,
        "adaptive_max_pool2d_with_indices": adaptive_pool2d,
        "interpolate": interpolate,
        "upsample": upsample,
        "upsample_nearest": upsample,
        "upsample_bilinear": upsample,
        "pixel_shuffle": pixel_shuffle,
        "pixel_unshuffle": pixel_unshuffle,
        "pad": pad,
        "unfold": unfold,
        "Tensor.unfold": unfold_one,
    }
)
"""The rules by the functions' names."""
