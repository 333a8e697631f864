"""Blocks to import into other models: built from plain ints, parameterised by an upsampler."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import create_upsampler
from segup.upsamplers.contract import Fit, Size


class ConvNormAct(nn.Sequential):
    """A 3×3 convolution, BatchNorm and ReLU: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class UNetBlock(nn.Module):
    """Bring a map to the size of its skip, join the two, and convolve (U-Net, arXiv 1505.04597).

    Args:
        in_channels: Channels of the low-resolution map.
        skip_channels: Channels of the skip; 0 for a stage without one.
        out_channels: Channels of the upsampled map and of the result.
        upsampler: Name of the operator, one of :func:`segup.upsamplers.list_upsamplers`.
        scale: Factor between the map and its skip.
        fit: ``"correct"`` or ``"strict"``, see :class:`segup.upsamplers.Upsampler`.
        convs: 3×3 convolutions after the two are joined.
        upsampler_options: The operator's own options.

    Shape: ``(N, in_channels, h, w)`` and a skip ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``.

    Raises:
        ConfigError: The operator requires what the block does not have, or an option is unknown.
        ShapeError: A skip of other channels, batch size, or a size out of the operator's reach.

    >>> block = UNetBlock(in_channels=512, skip_channels=256, out_channels=256, upsampler="deconv")
    >>> block(torch.zeros(2, 512, 16, 16), torch.zeros(2, 256, 31, 32)).shape
    torch.Size([2, 256, 31, 32])
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        upsampler: str = "deconv",
        scale: int = 2,
        *,
        fit: Fit = "correct",
        convs: int = 2,
        upsampler_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.skip_channels = skip_channels
        self.up = create_upsampler(
            upsampler,
            in_channels,
            out_channels,
            scale,
            skip_channels=skip_channels or None,
            fit=fit,
            **(upsampler_options or {}),
        )
        if "indices" in self.up.requires:
            raise ConfigError(
                f"'{upsampler}' needs the encoder's pooling indices, which this topology does not pass on"
            )
        first = ConvNormAct(out_channels + skip_channels, out_channels)
        self.convs = nn.Sequential(first, *(ConvNormAct(out_channels, out_channels) for _ in range(convs - 1)))

    def forward(self, x: Tensor, skip: Tensor | None = None, size: Size | None = None) -> Tensor:
        """Return the joined map at the skip's size; without a skip, at ``size`` or ``scale`` times ``x``."""
        if skip is None:
            if self.skip_channels:
                raise ShapeError(f"this block takes a skip (N, {self.skip_channels}, H, W), and got none")
            y: Tensor = self.convs(self.up(x, size))
            return y
        if skip.dim() != 4 or skip.shape[1] != self.skip_channels or skip.shape[0] != x.shape[0]:
            raise ShapeError(
                f"this block takes a skip ({x.shape[0]}, {self.skip_channels}, H, W) with its input "
                f"{tuple(x.shape)}, not {tuple(skip.shape)}"
            )
        up = self.up(x, (skip.shape[-2], skip.shape[-1]), skip=skip if "skip" in self.up.requires else None)
        joined: Tensor = self.convs(torch.cat((up, skip), dim=1))
        return joined
