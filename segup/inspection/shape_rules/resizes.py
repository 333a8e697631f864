# ruff: noqa: A002, ARG001 -- a rule has the parameters of torch's function, by torch's names
"""The shape rules of torch's functions that resize, shuffle, sample or pad a map."""

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from segup.errors import ShapeError
from segup.inspection.calls import Reading
from segup.inspection.shape_rules.sizes import NoRuleError, Rule, Shape, Sizes, check_ints
from segup.inspection.shape_rules.through import apply, exact, made_here, through, two
from segup.inspection.traced import TracedSize, as_int
from segup.shapes import PixelShuffle, Pool, Resize
from segup.shapes.arguments import AXIS_NAMES


def adaptive_pool2d(sizes: Sizes, input: Any, output_size: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape after adaptive pooling: the size asked for, whatever comes in."""
    before = sizes.of(input)
    asked = list(zip(two(output_size), before[-2:], strict=True))
    for wanted, size in asked:
        sizes.require(size, ">=", 1, "a map without pixels is pooled")
        if wanted is not None:
            sizes.require(wanted, ">=", 0, f"a map is pooled to {as_int(wanted)} rows")
    return (*before[:-2], *(size if wanted is None else made_here(sizes, wanted) for wanted, size in asked))


def interpolate(
    sizes: Sizes,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Shape:
    """Return the shape after a resize, to a size or by a factor."""
    before = sizes.of(input)
    if len(before) != 4:
        raise NoRuleError
    sizes.said.words = f"resize {mode}"
    for place, factor in enumerate(two(None if recompute_scale_factor else scale_factor), 2):
        known = None if size is not None or factor is None else float(as_int(factor))
        sizes.read(place, Reading("resize", (mode, bool(align_corners), known, antialias)))
    for dim in before[2:]:
        sizes.require(dim, ">=", 1, "a map without pixels is resized")
    if size is not None:
        wanted = two(size)
        check_ints(*wanted)
        for out, name in zip(wanted, AXIS_NAMES, strict=True):
            sizes.require(out, ">=", 1, f"a resize to {name} {as_int(out)}, below 1")
        return (*before[:2], *(made_here(sizes, out) for out in wanted))
    factors = [_dyadic(exact(factor)) for factor in two(scale_factor)]
    outs = []
    for i, (factor, dim) in enumerate(zip(factors, before[-2:], strict=True)):
        axis = Resize(factor).axes[i]
        if isinstance(factor, float) and type(dim) is TracedSize:
            sizes.record.lose(f"a resize by the float {factor}, which torch rounds, in {sizes.record.where}")
            if as_int(dim) < axis.least:
                raise ShapeError(f"a resize of {AXIS_NAMES[i]} {as_int(dim)} by {factor} gives nothing")
            outs.append(sizes.made(axis.out(as_int(dim)), None))
        else:
            outs.append(made_here(sizes, apply(sizes, axis, dim, "a resize")))
    return (*before[:2], *outs)


def _dyadic(factor: int | float) -> int | float | Fraction:
    """Return a float that is a fraction of a small power of two, 0.5 or 1.25, as that: its products are exact."""
    fraction = Fraction(factor)
    return fraction if fraction.denominator <= 1024 else factor


def pixel_shuffle(sizes: Sizes, input: Any, upscale_factor: int) -> Shape:
    """Return the shape after depth to space."""
    before = sizes.of(input)
    channels = before[-3] // upscale_factor**2
    message = f"{as_int(before[-3])} channels are no multiple of {upscale_factor**2}"
    sizes.require(before[-3] % upscale_factor**2, "==", 0, message)
    return through(sizes, PixelShuffle(upscale_factor), before, channels)


def pixel_unshuffle(sizes: Sizes, input: Any, downscale_factor: int) -> Shape:
    """Return the shape after space to depth, which takes multiples of its factor alone."""
    before = sizes.of(input)
    for size, name in zip(before[-2:], AXIS_NAMES, strict=True):
        message = f"pixel_unshuffle by {downscale_factor} takes multiples of it alone, not {name} {as_int(size)}"
        sizes.require(size % downscale_factor, "==", 0, message)
    return through(sizes, Pool(downscale_factor), before, before[-3] * downscale_factor**2)


def pad(sizes: Sizes, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Shape:
    """Return the shape with rows added or cut at the ends; ``pad`` may depend on the sizes."""
    shape = list(sizes.of(input))
    ends = list(pad)
    for i in range(len(ends) // 2):
        place, before, after = len(shape) - 1 - i, ends[2 * i], ends[2 * i + 1]
        check_ints(before, after)
        size = shape[place]
        for end in (before, after):
            if mode == "replicate":
                sizes.require(size, ">=", 1, "replicate padding needs a row")
            elif mode == "reflect":
                sizes.require(size, ">", end, f"{mode} padding of {as_int(end)} needs more than {as_int(size)} rows")
            elif mode == "circular":
                sizes.require(
                    size, ">=", end, f"{mode} padding of {as_int(end)} needs as many rows, not {as_int(size)}"
                )
        kept = size
        for end in (before, after):  # torch cuts first
            kept = kept if sizes.decide(end, ">=", 0) else kept + end
        sizes.require(kept, ">=", 0, f"padding by {as_int(before)} and {as_int(after)} leaves {as_int(kept)} rows")
        shape[place] = made_here(sizes, size + before + after)
        sizes.read(place, Reading.shifted(before, mode=mode))
    return tuple(shape)


def grid_sampled(sizes: Sizes, input: Any, grid: Any, *args: Any, **kwargs: Any) -> Shape:
    """Return the shape of a sampled map: that of the grid."""
    image, places = sizes.of(input), sizes.of(grid)
    sizes.require(image[0], "==", places[0], f"{as_int(image[0])} maps are sampled at places of {as_int(places[0])}")
    sizes.require(places[-1], "==", len(image) - 2, f"places of {as_int(places[-1])} coordinates in {len(image) - 2}")
    for size in image[2:]:
        sizes.require(size, ">=", 1, "a map without pixels is sampled")
    return (*image[:2], *places[1:-1])


def affine_grid(sizes: Sizes, theta: Any, size: Any, align_corners: bool | None = None) -> Shape:
    """Return the shape of the places where an affine map of an image of ``size`` reads."""
    count, _, *sides = size
    if len(sides) != 2:
        raise NoRuleError
    check_ints(*size)
    given = sizes.of(theta)
    sizes.require(given[0], "==", count, f"{as_int(given[0])} affine maps are given for {as_int(count)} images")
    for side in size:
        sizes.require(side, ">=", 1, f"places of an image of {as_int(side)} are asked for")
    return (given[0], *(made_here(sizes, side) for side in sides), 2)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices"), adaptive_pool2d
    ),
    "interpolate": interpolate,
    **dict.fromkeys(("upsample", "upsample_nearest"), interpolate),
    "upsample_bilinear": partial(interpolate, mode="bilinear", align_corners=True),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "pad": pad,
    "grid_sample": grid_sampled,
    "affine_grid": affine_grid,
}
