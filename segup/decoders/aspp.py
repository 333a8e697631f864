"""Atrous spatial pyramid pooling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segup.calls import annotated
from segup.decoders.blocks import ConvNormAct, linear


class ASPP(nn.Module):
    """Convolve one map with several dilations, take its mean, and mix both (DeepLabv3, arXiv 1706.05587).

    Args:
        in_channels: Channels of the map.
        out_channels: Channels of each branch and of the result.
        rates: Dilations of the 3×3 branches.
        separable: Whether their convolutions are, see :class:`segup.decoders.ConvNormAct`.

    Shape: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``, for any H and W.
    One branch is the mean of the map, repeated at every position. It has a bias and no BatchNorm: in training,
    BatchNorm refuses a single value per channel, so a batch of one image would not train.

    >>> ASPP(32, 16, rates=(3, 6, 9))(torch.zeros(2, 32, 5, 7)).shape
    torch.Size([2, 16, 5, 7])
    """

    @annotated
    def __init__(self, in_channels: int, out_channels: int, rates: Sequence[int], separable: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [ConvNormAct(in_channels, out_channels, kernel_size=1)]
            + [ConvNormAct(in_channels, out_channels, dilation=rate, separable=separable) for rate in rates]
        )
        self.whole = nn.Sequential(linear(in_channels, out_channels), nn.ReLU(inplace=True))
        self.mix = ConvNormAct((len(rates) + 2) * out_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed branches of the map."""
        whole = self.whole(x.mean(dim=(-2, -1), keepdim=True)).expand(-1, -1, x.shape[-2], x.shape[-1])
        return self.mix(torch.cat([*(branch(x) for branch in self.branches), whole], dim=1))
