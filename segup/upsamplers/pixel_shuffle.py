"""Convolution, then pixel shuffle (sub-pixel convolution), with ICNR initialisation."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import OddKernel
from segup.shapes import PixelShuffle
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.interpolation import channel_map, init_weight, phase_taps


@register_upsampler("pixel_shuffle")
class PixelShuffleConv(Upsampler):
    """A convolution to ``out_channels·scale²`` channels at low resolution, which become the pixels of each cell.

    This is sub-pixel convolution (Shi et al., arXiv 1609.05158) with ICNR initialisation (Aitken et al., arXiv
    1707.02937).

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        kernel_size: Kernel size of the convolution, odd; 3 by default.
        init: ``"icnr"``: every cell of ``scale²`` pixels starts from one kernel, so the operator starts as nearest
            upsampling of a convolution. ``"interpolate"`` (kernels of 3 and larger): bilinear interpolation, see
            :mod:`segup.upsamplers.interpolation`. ``"he"``: every channel is drawn separately, which starts as a
            checkerboard.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters: ``scale²·(kernel_size²·in_channels·out_channels + out_channels)``.

    >>> up = PixelShuffleConv(8, 4)
    >>> y = up(torch.ones(1, 8, 5, 5))          # ICNR: at the start, the same as nearest upsampling
    >>> bool((y[..., 2:8:2, 2:8:2] == y[..., 3:9:2, 3:9:2]).all())
    True
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: OddKernel = 3,
        init: Literal["icnr", "he", "interpolate"] = "icnr",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        mix, taps = None, torch.empty(0)
        if init == "interpolate":
            mix, taps = channel_map(in_channels, out_channels), phase_taps(self.name, scale, kernel_size)
        self.conv = nn.Conv2d(in_channels, out_channels * scale**2, kernel_size, padding=kernel_size // 2)
        if mix is None:
            init_icnr(self.conv, scale if init == "icnr" else 1)
        else:
            init_weight(self.conv, _of_phases(mix, taps))

    @property
    def arithmetic(self) -> PixelShuffle:
        """A multiplication by the scale."""
        return PixelShuffle(self.scale)

    def upsample(self, x: Tensor) -> Tensor:
        """Return the shuffled convolution of ``x``."""
        return F.pixel_shuffle(self.conv(x), self.scale)


def _of_phases(mix: Tensor, taps: Tensor) -> Tensor:
    """Return the kernels with which each phase, one channel of a group, interpolates: rows, then columns."""
    kernels = torch.einsum("ar,bc->abrc", taps, taps).flatten(0, 1)
    return torch.einsum("oi,prc->opirc", mix, kernels).flatten(0, 1)


@torch.no_grad()
def init_icnr(conv: nn.Conv2d, scale: int) -> None:
    """Start every group of ``scale²`` output channels from one kernel and one bias (arXiv 1707.02937).

    The groups are runs of neighbouring channels, torch's order. The bias belongs to it: drawn per channel it would
    leave a checkerboard of its own.

    >>> conv = nn.Conv2d(3, 8, 3)
    >>> init_icnr(conv, scale=2)
    >>> bool((conv.weight[0] == conv.weight[3]).all()), bool((conv.weight[0] == conv.weight[4]).all())
    (True, False)
    """
    kernel = torch.empty_like(conv.weight[:: scale**2])
    nn.init.kaiming_normal_(kernel, nonlinearity="relu")
    conv.weight.copy_(kernel.repeat_interleave(scale**2, dim=0))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
