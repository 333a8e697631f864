"""Strided transposed convolution."""

import math

import torch
from torch import Tensor, nn

from segup.errors import ConfigError
from segup.shapes import ConvTranspose
from segup.upsamplers.contract import Fit, Upsampler, register_upsampler


@register_upsampler("deconv")
class Deconv(Upsampler):
    """Strided transposed convolution: every input value stamps its kernel, overlapping stamps add.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        kernel_size: At least ``scale``; by default ``2·scale`` for an even scale and ``2·scale - 1`` for an odd one,
            with padding ``(kernel_size - scale) / 2``, so that the result is ``scale·h`` and overlaps are even.
            A kernel that ``scale`` does not divide draws a checkerboard (Odena et al., Distill 2016).

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters: ``kernel_size²·in_channels·out_channels + out_channels``.

    >>> Deconv(8, 4).describe()
    "'deconv' (kernel 4, stride 2, padding 1)"
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale: int = 2,
        *,
        skip_channels: int | None = None,
        fit: Fit = "correct",
        kernel_size: int | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, skip_channels=skip_channels, fit=fit)
        kernel_size = 2 * scale - scale % 2 if kernel_size is None else kernel_size
        if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < scale:
            raise ConfigError(
                f"'deconv': kernel_size={kernel_size!r} must be an int of at least the scale, {scale}: "
                f"a smaller kernel leaves gaps that hold bias alone"
            )
        # Rounded down, so that an odd difference overshoots scale·h by one row, which is cut: none is invented.
        padding = (kernel_size - scale) // 2
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride=scale, padding=padding)
        init_conv_transpose(self.conv)

    @property
    def arithmetic(self) -> ConvTranspose:
        """The transposed convolution's size rule."""
        return ConvTranspose(self.conv.kernel_size[0], self.scale, self.conv.padding[0])  # type: ignore[arg-type]

    def upsample(self, x: Tensor, *, skip: Tensor | None = None, indices: Tensor | None = None) -> Tensor:
        """Return the transposed convolution of ``x``."""
        y: Tensor = self.conv(x)
        return y

    def describe(self) -> str:
        """Return the name with kernel, stride and padding."""
        return f"'{self.name}' (kernel {self.conv.kernel_size[0]}, stride {self.scale}, padding {self.conv.padding[0]})"

    def label(self) -> str:
        """Return the name with kernel, stride and padding in few letters."""
        return f"{self.name} k{self.conv.kernel_size[0]} s{self.scale} p{self.conv.padding[0]}"


@torch.no_grad()
def init_conv_transpose(conv: nn.ConvTranspose2d) -> None:
    """Draw weights that keep the variance of a rectified input (He et al., arXiv 1502.01852), bias zero.

    An output of a transposed convolution sums ``in_channels·kernel_size²/stride²`` products, which is its fan-in;
    torch's own initialisers take the fan-in of the forward convolution instead.

    >>> conv = nn.ConvTranspose2d(64, 64, 4, 2, 1)
    >>> init_conv_transpose(conv)
    >>> bool(abs(conv.weight.std() - (2 / (64 * 4)) ** 0.5) < 0.005)
    True
    """
    kernel, stride = math.prod(conv.kernel_size), math.prod(conv.stride)
    fan_in = conv.in_channels // conv.groups * kernel / stride
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_in))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
