"""Bicubic resize, then convolution."""

from segup.upsamplers.contract import register_upsampler
from segup.upsamplers.resize_conv import InterpolatedConv


@register_upsampler("bicubic")
class Bicubic(InterpolatedConv):
    """Bicubic resize by ``scale`` (Keys' kernel with a = -0.75), then a convolution.

    It is sharper than bilinear, and overshoots beside an edge. Outside the map it repeats the edge.
    It refuses ``init="interpolate"``: no convolution of its result gives the straight lines of bilinear interpolation.
    Arguments, shape, parameters: see :class:`segup.upsamplers.resize_conv.InterpolatedConv`.

    >>> import torch
    >>> Bicubic(8, 4)(torch.zeros(1, 8, 16, 16), size=(31, 32)).shape
    torch.Size([1, 4, 31, 32])
    """

    mode = "bicubic"
