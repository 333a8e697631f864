"""The sizes of a module's maps, and the rule by which each follows from the one before: found, not assumed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from segup.calls import annotated
from segup.errors import ShapeError
from segup.inspection.copies import as_by_default, meta_copy
from segup.inspection.periodic import PeriodicMap
from segup.inspection.trace import Tracer
from segup.inspection.traced import as_ints
from segup.inspection.tried import Tried, functions_of, try_sizes
from segup.shapes import Conv
from segup.shapes.arguments import AXIS_NAMES, two, whole
from segup.shapes.law import FloorLaw
from segup.shapes.layer import Layer

Rounding = Literal["up", "down"]


@dataclass(frozen=True)
class MapSizes:
    """The sizes of a module's maps at the sizes of a square image that were tried.

    Args:
        sizes: For each image size that the module accepts, the sizes of its maps on one axis.
        refused: For each image size that it refuses, the message.
        functions: Each map's size as a function of the image's, where every layer is known to the calculus; else None.
        far: Two sizes that lie far apart; None where the functions say how the maps grow, or there are no two.
    """

    sizes: dict[int, tuple[int, ...]]
    refused: dict[int, str]
    functions: tuple[PeriodicMap, ...] | None = field(repr=False)
    far: tuple[int, int] | None = field(repr=False)

    @property
    def strides(self) -> tuple[int, ...]:
        """The reduction of each map: by how much the image has to grow for one more row.

        Where no functions of the size are known it is measured between two sizes that lie far apart, so that what is
        lost or padded at the borders does not count. One size alone gives its ratios, each rounded.

        Raises:
            ShapeError: Every size that was tried is refused.
        """
        known = self.functions
        if known is not None and all(one.growth > 0 and one.period % one.growth == 0 for one in known):
            return tuple(one.period // one.growth for one in known)
        if not self.sizes:
            size, message = max(self.refused.items())
            raise ShapeError(f"the encoder refuses every size that was tried; {size}×{size}: {message}")
        if self.far is None:
            size, maps = max(self.sizes.items())
            return tuple(round(size / one) for one in maps)
        near, distant = self.far
        pairs = zip(self.sizes[near], self.sizes[distant], strict=True)
        return tuple(round((distant - near) / (b - a)) for a, b in pairs)

    def rules(self) -> tuple[Conv | None, ...]:
        """Return how each map's size follows from the one before it, the first from the image's.

        None where no one rule covers all sizes: see :func:`stage_rules`.
        """
        paths = [(size, *maps) for size, maps in self.sizes.items()]
        strides = (1, *self.strides)
        functions = None if self.functions is None else (PeriodicMap.identity(), *self.functions)
        return tuple(
            fitted_rule(
                [(path[level], path[level + 1]) for path in paths],
                max(1, strides[level + 1] // strides[level]),
                None if functions is None else (functions[level], functions[level + 1]),
            )
            for level in range(len(self.strides))
        )


def map_sizes(tried: Tried) -> MapSizes:
    """Return what :func:`try_sizes` found, as sizes on one axis."""
    runs = tried.runs
    sizes = {size: tuple(as_ints(shape)[-2] for shape in run.outputs.values()) for size, run in runs.items()}
    return MapSizes(sizes, tried.refused, functions_of(runs[max(runs)], 0) if runs else None, tried.far)


@annotated
@as_by_default()
def feature_sizes(
    encoder: nn.Module, size: int | tuple[int, int], in_channels: int = 3, *, channels_last: bool = False
) -> list[tuple[int, int]]:
    """Return ``(height, width)`` of every map that ``encoder`` makes of an image of ``size``, in evaluation mode.

    Nothing is computed: a copy of the encoder without weights is run on shapes alone, and the encoder, its weights,
    buffers and training flags stay as they are.

    Args:
        encoder: Any module from an image to a map, or a list or dict of maps: timm's, torchvision's, your own.
        size: Of the image, one int or (height, width), in pixels.
        in_channels: Channels of the image.
        channels_last: The maps are ``(N, H, W, C)``, as those of timm's Swin.

    Raises:
        ShapeError: The encoder refuses the size; or it, or ``in_channels``, is not made of ints of at least 1.

    >>> feature_sizes(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1)), (67, 64))
    [(34, 32)]
    """
    height, width = (whole(n, name, 1) for n, name in zip(two(size, "size"), AXIS_NAMES, strict=True))
    run = Tracer(meta_copy(encoder).eval(), whole(in_channels, "in_channels", 1)).run((height, width))
    if run.refusal is not None:
        where = f" at layer '{run.refusal.layer}'" if run.refusal.layer else ""
        raise ShapeError(f"the encoder refuses {height}×{width}{where}: {run.refusal.message}")
    shapes = [as_ints(shape) for shape in run.outputs.values()]
    return [(shape[1], shape[2]) if channels_last else (shape[-2], shape[-1]) for shape in shapes]


def fitted_rule(
    pairs: Sequence[tuple[int, int]], ratio: int, functions: tuple[PeriodicMap, PeriodicMap] | None = None
) -> Conv | None:
    """Return the convolution whose size rule every pair (size before, size after) of a stage follows.

    Args:
        pairs: What was seen.
        ratio: The stage's stride.
        functions: The sizes before and after as functions of the image's, where these are known: then the rule holds
            for all sizes, or there is none.

    Returns:
        ⌊(n + c)/ratio⌋ as a convolution: ``Conv(3, 2, 1)`` for a stage of stride 2 that rounds up, ``Conv(2, 2)`` for
        one that rounds down; None where no c fits all sizes.

    >>> print(fitted_rule([(67, 34), (64, 32)], 2), fitted_rule([(67, 33), (64, 32)], 2))
    conv k3 s2 p1 conv k2 s2
    >>> print(fitted_rule([(67, 33), (8, 3)], 2))
    conv k3 s2
    >>> fitted_rule([(67, 34), (65, 32)], 2)
    """
    low = max(ratio * after - before for before, after in pairs)
    high = min(ratio * after - before + ratio - 1 for before, after in pairs)
    offsets = [c for c in (ratio - 1, 0, *range(high, low - 1, -1)) if low <= c <= high]  # the usual ones first
    if functions is not None:
        offsets = [c for c in offsets if functions[0].through(FloorLaw(1, c, ratio)) == functions[1]]
    if not offsets:
        return None
    offset = offsets[0]
    padding = ratio // 2 if offset == ratio - 1 else max(0, -(-(offset - ratio + 1) // 2))
    return Conv(ratio + 2 * padding - offset, ratio, padding)


def rounding_of(rule: Layer[Any] | None) -> Rounding | None:
    """Return whether a stage's size rule rounds n/stride up or down, or neither.

    >>> rounding_of(Conv(3, 2, 1)), rounding_of(Conv(2, 2)), rounding_of(Conv(3, 2))
    ('up', 'down', None)
    """
    if not isinstance(rule, Conv):
        return None
    law = rule.axes[0].law
    if law.offset == law.run - 1:
        return "up"
    return "down" if law.offset == 0 else None


@annotated
def inverse_of(rule: Conv | None) -> Rounding | int | None:
    """Return the ``rounding`` of an operator that is matched to a stage: up, down, or c for any other ⌊(n + c)/stride⌋.

    >>> inverse_of(Conv(3, 2, 1)), inverse_of(Conv(3, 2)), inverse_of(None)
    ('up', -1, None)
    """
    return rounding_of(rule) or (None if rule is None else rule.axes[0].law.offset)


@annotated
def stage_rules(encoder: nn.Module, in_channels: int = 3) -> tuple[Conv | None, ...]:
    """Return, for each map of an encoder, the size rule by which it follows from the map before (the first: the image).

    The encoder is run on shapes alone, see :func:`try_sizes`. Where all its layers are known to the calculus, the rule
    is exact for all sizes; else it is the one that every size tried follows.

    Args:
        encoder: Any module from an image to a list or dict of maps, from high to low resolution; timm's with
            ``features_only=True``, or segup's.
        in_channels: Channels of the image.

    Returns:
        A convolution with the stage's size rule: ``Conv(3, 2, 1)`` rounds n/2 up, ``Conv(2, 2)`` down (a stage of
        stride 4 that rounds up is ``Conv(5, 4, 2)``); None where no one rule covers all sizes. See
        :func:`rounding_of`.

    Raises:
        ShapeError: The encoder refuses every size that was tried.

    >>> body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AvgPool2d(2))
    >>> [str(rule) for rule in stage_rules(body)]  # ⌊(n + 1)/4⌋: up, then down
    ['conv k3 s4']
    """
    return map_sizes(try_sizes(encoder, in_channels)).rules()
