"""Nearest resize, then convolution."""

from torch import Tensor

from segup.upsamplers.contract import register_upsampler
from segup.upsamplers.interpolation import smoothing_taps
from segup.upsamplers.resize_conv import ResizeConv


@register_upsampler("nearest")
class Nearest(ResizeConv):
    """Repeat every pixel ``scale × scale`` times, then convolve (Odena et al., Distill 2016).

    ``init="interpolate"`` needs a kernel of at least ``scale`` (``scale + 1`` if even): 3 is enough for scales 2 and 3.
    Arguments, shape, parameters: see :class:`segup.upsamplers.resize_conv.ResizeConv`.

    >>> import torch
    >>> Nearest(8, 4)(torch.zeros(1, 8, 16, 16), size=(31, 32)).shape
    torch.Size([1, 4, 31, 32])
    """

    mode = "nearest"

    def interpolating_taps(self, kernel_size: int) -> Tensor:
        """Return the box that makes a triangle of the resize's own: it takes a kernel as large as ``scale``."""
        return smoothing_taps(self.name, self.scale, kernel_size)
