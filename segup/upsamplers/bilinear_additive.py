"""Bilinear additive upsampling: no parameters of its own."""

from typing import Any

from torch import Tensor

from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.projection import project
from segup.upsamplers.resize_conv import resize


@register_upsampler("bilinear_additive")
class BilinearAdditive(Upsampler):
    """Bilinear resize by ``scale`` (align_corners=False), then a sum over every ``n`` consecutive channels.

    See Wojna et al., arXiv 1707.05847. ``n`` is ``in_channels / out_channels`` if that is a whole number. Otherwise
    ``n`` is the largest divisor of ``in_channels`` that leaves at least ``out_channels`` sums, or 1. Then a 1×1
    convolution gives ``out_channels``: 320 → 128 is 160 sums of two and a convolution 160 → 128. Sums and convolution
    commute with the resize (its weights sum to 1), so they run before it, at low resolution.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters and multiply-accumulates: none if ``out_channels`` divides ``in_channels``, else those of the 1×1
    convolution at low resolution. The resize and the sums are not counted.

    It has no ``init="interpolate"``. It always interpolates, but its channel map is fixed sums, and the other operators
    start with another channel map.

    >>> import torch
    >>> up = BilinearAdditive(8, 4)
    >>> up(torch.ones(1, 8, 16, 16), size=(31, 32)).unique().tolist(), len(list(up.parameters()))
    ([2.0], 0)
    """

    projects = "first"
    averages = True  # where nothing is summed, this is the resize alone

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.summands = summands(in_channels, out_channels)
        self.project = project(in_channels // self.summands, out_channels)

    def upsample(self, x: Tensor) -> Tensor:
        """Return the resized sums of ``x``."""
        if self.summands > 1:
            x = x.unflatten(1, (self.in_channels // self.summands, self.summands)).sum(dim=2)
        return resize(self.project(x), self.scale, "bilinear")


def summands(in_channels: int, out_channels: int) -> int:
    """Return the largest divisor of ``in_channels`` that leaves at least ``out_channels`` sums; 1 where none does.

    >>> summands(256, 64), summands(320, 128), summands(64, 48), summands(32, 64)
    (4, 2, 1, 1)
    """
    fitting = (n for n in range(in_channels // out_channels, 1, -1) if in_channels % n == 0)
    return next(fitting, 1)
