"""The neck that an encoder needs: none where it gives a pyramid."""

from typing import Any

from segup.conform import Count, Counts, Name
from segup.decoders.rounding import Roundings
from segup.necks.contract import Neck, create_neck, register_neck


@register_neck("auto")
def auto(
    channels: Counts,
    strides: Counts,
    *,
    roundings: Roundings | None = None,
    image_channels: Count = 3,
    upsampler: Name | None = None,
    upsampler_options: dict[str, Any] | None = None,
    width: Count | None = None,
) -> Neck:
    """Build ``simple_fpn`` for several maps of one stride, and ``none`` for others.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`.
        upsampler, upsampler_options, width: Those of ``simple_fpn``; None is its default.

    >>> auto([8, 8], [16, 16]).name, auto([8, 16], [2, 4]).name
    ('simple_fpn', 'none')
    """
    given = {"upsampler": upsampler, "upsampler_options": upsampler_options, "width": width}
    chosen = "simple_fpn" if len(strides) > 1 and len(set(strides)) == 1 else "none"
    options = {option: value for option, value in given.items() if value is not None}
    return create_neck(chosen, channels, strides, roundings, image_channels, **options)
