"""The rule by which each stage of an encoder makes one map from the one before: found, not assumed."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from segup.calls import annotated
from segup.inspection.lines import Line
from segup.shapes import Conv
from segup.shapes.law import FloorLaw
from segup.shapes.layer import Layer

Rounding = Literal["up", "down"]


def fitted(pairs: Sequence[tuple[int, int]], ratio: int, lines: tuple[Line, Line] | None = None) -> Conv | None:
    """Return the convolution whose size rule every pair (size before, size after) of a stage follows.

    Args:
        pairs: What was seen.
        ratio: The stage's stride.
        lines: The sizes before and after as functions of the image's, where these are known: then the rule holds for
            all sizes, or there is none.

    Returns:
        ⌊(n + c)/ratio⌋ as a convolution: ``Conv(3, 2, 1)`` for a stage of stride 2 that rounds up, ``Conv(2, 2)`` for
        one that rounds down; None where no c fits all sizes.

    >>> print(fitted([(67, 34), (64, 32)], 2), fitted([(67, 33), (64, 32)], 2), fitted([(67, 33), (8, 3)], 2))
    conv k3 s2 p1 conv k2 s2 conv k3 s2
    >>> fitted([(67, 34), (65, 32)], 2)
    """
    low = max(ratio * after - before for before, after in pairs)
    high = min(ratio * after - before + ratio - 1 for before, after in pairs)
    offsets = [c for c in (ratio - 1, 0, *range(high, low - 1, -1)) if low <= c <= high]  # the usual ones first
    if lines is not None:
        offsets = [c for c in offsets if lines[0].through(FloorLaw(1, c, ratio)) == lines[1]]
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

    The encoder is run on shapes alone, see :func:`segup.inspection.probe_pyramid`. Where all its layers are known to
    the calculus, the rule is exact for all sizes; else it is the one that every size tried follows.

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
    from segup.inspection.features import probe_pyramid

    return probe_pyramid(encoder, in_channels).rules()
