"""Nearest resize, then convolution."""

from segup.upsamplers.contract import register_upsampler
from segup.upsamplers.resize_conv import ResizeConv


@register_upsampler("nearest")
class Nearest(ResizeConv):
    """Repeat every pixel ``scale × scale`` times, then a convolution (Odena et al., Distill 2016).

    Arguments, shape, parameters: see :class:`segup.upsamplers.resize_conv.ResizeConv`.

    >>> import torch
    >>> Nearest(8, 4)(torch.zeros(1, 8, 16, 16), size=(31, 32)).shape
    torch.Size([1, 4, 31, 32])
    """

    mode = "nearest"
