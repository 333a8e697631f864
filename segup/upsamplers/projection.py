"""The 1×1 convolution where channels differ."""

from torch import nn

from segup.upsamplers.interpolation import init_weight


def project(in_channels: int, out_channels: int) -> nn.Conv2d | nn.Identity:
    """Return a 1×1 convolution, or nothing to do where the channels are the same.

    It keeps the variance of a rectified input at the start (He et al., arXiv 1502.01852); its bias starts at zero.

    >>> project(8, 8), project(8, 4)
    (Identity(), Conv2d(8, 4, kernel_size=(1, 1), stride=(1, 1)))
    """
    if in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    init_weight(conv, None)
    return conv
