"""Nearest resize, then convolution."""

import torch.nn.functional as F
from torch import Tensor

from segup.errors import ConfigError
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
        if self.run > 1:  # a resize by a fraction repeats some pixels once more than others
            return super().interpolating_taps(kernel_size)
        if self.conv_first and kernel_size > 1:
            raise ConfigError(
                f"'{self.name}' cannot start with init='interpolate' and conv_first=True: what comes after the "
                f"convolution repeats pixels.\n  try: conv_first=False, or init=he."
            )
        return smoothing_taps(self.name, self.scale, kernel_size)


def conv_of_repeated(x: Tensor, weight: Tensor, scale: int) -> Tensor:
    """Return ``conv2d(repeated, weight, padding=k // 2)`` of every pixel repeated ``scale × scale`` times.

    It is one transposed convolution of ``x``: a tap of its kernel is the sum of those that read the same pixel. So it
    multiplies (k + scale − 1)² times for each pixel of ``x``, in place of (k · scale)² times.

    Args:
        x: ``(N, in_channels, h, w)``.
        weight: ``(out_channels, in_channels, k, k)``, k odd.
        scale: Of the repetition.

    >>> import torch
    >>> x, weight = torch.rand(1, 2, 4, 5), torch.rand(3, 2, 3, 3)
    >>> expected = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
    >>> torch.allclose(conv_of_repeated(x, weight, 2), expected, atol=1e-5)
    True
    """
    flipped = F.pad(weight.flip(-2, -1), (scale - 1,) * 4)
    taps = F.avg_pool2d(flipped, scale, stride=1, divisor_override=1)
    return F.conv_transpose2d(x, taps.transpose(0, 1), stride=scale, padding=weight.shape[-1] // 2)
