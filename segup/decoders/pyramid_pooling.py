"""Pooling of one map over a few grids of bins."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.calls import annotated
from segup.decoders.blocks import ConvNormAct, linear
from segup.upsamplers.contract import Channels
from segup.upsamplers.pooling import pool_to

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Take the means of a map over grids of bins, and put them beside the map (PSPNet, arXiv 1612.01105).

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of each grid.
        bins: Bins a side of each grid; 1, 2, 3 and 6 by default.

    Shape: ``(N, in_channels, H, W)`` → ``(N, in_channels + len(bins)·out_channels, H, W)``, for any H and W.
    A 1×1 convolution follows each mean, and a bilinear resize to the map's size, which the bins divide evenly. A grid
    of one bin has a bias and no BatchNorm, which would refuse a batch of one image in training.

    >>> PyramidPooling(32, 8)(torch.zeros(2, 32, 5, 7)).shape
    torch.Size([2, 64, 5, 7])
    """

    @annotated
    def __init__(self, in_channels: Channels, out_channels: Channels, bins: Sequence[int] = BINS) -> None:
        super().__init__()
        self.bins, self.out_channels = tuple(bins), in_channels + len(bins) * out_channels
        self.grids = nn.ModuleList(
            nn.Sequential(linear(in_channels, out_channels), nn.ReLU(inplace=True))
            if count == 1
            else ConvNormAct(in_channels, out_channels, kernel_size=1)
            for count in bins
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with the means of each grid behind it."""
        size = (x.shape[-2], x.shape[-1])
        means = (grid(pool_to(x, (count, count))) for grid, count in zip(self.grids, self.bins, strict=True))
        return torch.cat([x, *(F.interpolate(mean, size=size, mode="bilinear") for mean in means)], dim=1)
