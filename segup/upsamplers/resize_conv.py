"""Resize by the factor and convolve: what nearest, bilinear and bicubic upsampling share."""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import OddKernel
from segup.errors import ConfigError
from segup.upsamplers.contract import AnyScale, Channels, Upsampler
from segup.upsamplers.fitting import Size
from segup.upsamplers.interpolation import channel_map, init_weight, separable


class ResizeConv(Upsampler):
    """Resize by ``scale`` in one of torch's modes, and a convolution that keeps the size.

    It resizes by the factor, never to the size. 16 → 32, then cut to 31, keeps the grid; 16 → 31 would stretch it. A
    subclass names its :attr:`mode`. If it can start as bilinear interpolation, it also names the taps for that.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        kernel_size: Kernel size of the convolution, odd; 3 by default, 1 in a decoder's step to the image. None: the
            resize alone, without parameters. Then only where channels change there is a 1×1 convolution.
        conv_first: The convolution stands before the resize, not after it. It multiplies ``scale²`` times less, its
            window is of cells of the map and not of pixels of the result, and the result is as smooth as the resize.
        init: ``"he"``: the convolution keeps the variance of a rectified input (He et al., arXiv 1502.01852).
            ``"interpolate"``: bilinear interpolation, see :mod:`segup.upsamplers.interpolation`.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters: ``kernel_size²·in_channels·out_channels + out_channels``; none for ``kernel_size=None`` where the
    channels are the same.
    """

    mode: ClassVar[str]
    final_options: ClassVar[Mapping[str, Any]] = MappingProxyType({"kernel_size": 1})
    takes_fractions = True
    align_corners = False

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: AnyScale = 2,
        *,
        kernel_size: OddKernel | None = 3,
        conv_first: bool = False,
        init: Literal["he", "interpolate"] = "he",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        if conv_first and kernel_size is None:
            raise ConfigError(
                f"'{self.name}': conv_first=True says where the convolution stands, and kernel_size=None leaves it out."
                f"\n  try: kernel_size=3, or conv_first=False."
            )
        self.kernel_size, self.alone = kernel_size, kernel_size is None and in_channels == out_channels
        self.averages = kernel_size is None and self.mode != "bicubic"
        size = 1 if kernel_size is None else kernel_size
        self.conv_first = conv_first
        mix, taps = None, torch.empty(0)
        if init == "interpolate":
            mix, taps = channel_map(in_channels, out_channels), self.interpolating_taps(size)
        if self.alone:
            return
        self.conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2)
        init_weight(self.conv, None if mix is None else separable(mix, taps))

    def interpolating_taps(self, kernel_size: int) -> Tensor:
        """Return the convolution's taps along each axis that make the resize bilinear interpolation.

        Raises:
            ConfigError: There are none.
        """
        raise ConfigError(
            f"'{self.name}' cannot start with init='interpolate': no convolution makes its resize bilinear.\n"
            f"  try: init=he, or decoder=bilinear."
        )

    @property
    def fixed(self) -> bool:
        """Whether it is the resize alone."""
        return self.alone

    @property
    def shift(self) -> Fraction:
        """Output pixels by which its pixels lie below and right of the grid of ``align_corners=False``."""
        return -Fraction(self.rise - 1, 2) if self.align_corners else Fraction(0)

    def own(self, low: int) -> Size:
        """Return ``scale·low``; with ``align_corners``, from ``scale·(low - 1) + 1`` on."""
        grid = self.grid(low)
        return grid - (self.rise - 1 if self.align_corners else 0), grid

    def label(self) -> str:
        """Return the name, the scale and the shift; that it is alone, or the convolution where it is 1×1 or first."""
        words = f"{super().label()} shift {self.shift}px" if self.shift else super().label()
        if self.alone:
            return f"{words} alone"
        size = self.conv.kernel_size[0]
        return f"{size}×{size}, {words}" if self.kernel_size is None or (self.conv_first and size > 1) else words

    def upsample(self, x: Tensor) -> Tensor:
        """Return the convolution of the resized ``x``, the resized convolution, or the resized ``x`` alone.

        A 1×1 convolution mixes channels alone and the weights of a resize sum to one, so the two commute: it is done
        first, on ``scale²`` times fewer pixels.
        """
        if self.alone:
            return self.resized(x)
        if self.conv_first or self.conv.kernel_size == (1, 1):
            return self.resized(self.conv(x))
        return self.conv(self.resized(x))

    def resized(self, x: Tensor) -> Tensor:
        """Return ``x`` resized, ``scale`` times as large."""
        if not self.align_corners:
            return resize(x, self.rise, self.mode, self.run)
        # With the last cell once more the step is 1/scale at every size. What lies on that cell is cut.
        height, width = (self.rise * size for size in x.shape[-2:])
        repeated = F.pad(x, (0, 1, 0, 1), mode="replicate")
        size = (height + 1, width + 1)
        return F.interpolate(repeated, size=size, mode=self.mode, align_corners=True)[..., :height, :width]


class InterpolatedConv(ResizeConv):
    """Base of resizes whose pixels may lie where the encoder's convolutions have them: bilinear and bicubic.

    Args:
        in_channels, out_channels, scale, kernel_size, conv_first, init, skip_channels, fit: See :class:`ResizeConv`.
        align_corners: Where the map lies. False: the edges of input and result meet, as with torch's own False. True:
            result ``scale·i`` lies on input ``i``, where the encoder's k3 s2 p1 reads around input ``2·o``, as
            ``deconv_matched`` has it. ``scale·(h - 1) + 1`` rows are those of torch's True; up to ``scale - 1`` after
            them lie beyond the last cell, which repeats. Each of these sizes is reached without a correction.

    Raises:
        ConfigError: ``align_corners`` with a fraction as scale, or with ``init="interpolate"``, which is interpolation
            on the grid of False.
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: AnyScale = 2,
        *,
        align_corners: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.align_corners = align_corners
        if align_corners and self.run > 1:
            raise ConfigError(
                f"'{self.name}' multiplies by {self.scale}: align_corners=True is for whole scales.\n"
                f"  try: align_corners=False."
            )
        if self.shift and common.get("init") == "interpolate":
            raise ConfigError(
                f"'{self.name}' cannot start with init='interpolate' and align_corners=True: its pixels lie "
                f"{-self.shift} before the grid of align_corners=False.\n  try: init=he, or align_corners=False."
            )


def resize(x: Tensor, scale: int, mode: str, run: int = 1) -> Tensor:
    """Return ``x`` resized by ``scale / run``; the grid is that of ``align_corners=False``.

    The size is passed to torch in whole numbers, ``scale`` times the input's, which is the factor exactly; a float
    factor would be multiplied out in floats, and not at all where sizes are symbols (torch.export).

    >>> import torch
    >>> resize(torch.tensor([[[[0.0, 1.0]]]]), 2, "bilinear").tolist()
    [[[[0.0, 0.25, 0.75, 1.0], [0.0, 0.25, 0.75, 1.0]]]]
    """
    size = (scale * x.shape[-2] // run, scale * x.shape[-1] // run)
    return F.interpolate(x, size=size, mode=mode, align_corners=None if mode == "nearest" else False)
