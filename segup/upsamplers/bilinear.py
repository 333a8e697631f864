"""Bilinear resize, then convolution."""

from torch import Tensor

from segup.upsamplers.contract import register_upsampler
from segup.upsamplers.interpolation import middle_tap
from segup.upsamplers.resize_conv import InterpolatedConv


@register_upsampler("bilinear")
class Bilinear(InterpolatedConv):
    """Bilinear resize by ``scale``, then a convolution.

    Arguments, shape, parameters: see :class:`segup.upsamplers.resize_conv.InterpolatedConv`.

    >>> import torch
    >>> Bilinear(8, 4)(torch.zeros(1, 8, 16, 16), size=(31, 32)).shape
    torch.Size([1, 4, 31, 32])
    """

    mode = "bilinear"

    def interpolating_taps(self, kernel_size: int) -> Tensor:
        """Return 1 in the middle: the resize interpolates already."""
        return middle_tap(kernel_size)
