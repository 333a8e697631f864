"""Strided transposed convolution."""

import math
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segup.conform import Count
from segup.errors import ConfigError
from segup.shapes import ConvTranspose
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.interpolation import channel_map, init_weight, separable, transposed_taps, triangle

Start = Literal["he", "bilinear", "interpolate"]


class TransposedConv(Upsampler):
    """Base of operators that are one ``nn.ConvTranspose2d``: arithmetic, names, starts. See :meth:`build`."""

    conv: nn.ConvTranspose2d

    def build(self, kernel_size: int, padding: int, output_padding: int, init: Start) -> None:
        """Make ``conv``, once channels and scale are known.

        Args:
            kernel_size, padding, output_padding: Of the transposed convolution; its stride is ``scale``.
            init: ``"he"``: variance kept, see :func:`init_conv_transpose`. ``"bilinear"``: every kernel a triangle as
                wide as itself (Long et al., arXiv 1411.4038), so that a constant stays constant. ``"interpolate"``:
                bilinear interpolation on the grid of ``align_corners=False``, see
                :mod:`segup.upsamplers.interpolation`; with the default kernel the same as ``"bilinear"``.

        Raises:
            ConfigError: An unknown ``init``, or one that this kernel and padding cannot have.
        """
        self.kernel_size, self.padding = kernel_size, padding
        mix, taps = None, torch.empty(0)
        if init != "he":
            mix, taps = channel_map(self.in_channels, self.out_channels), self._interpolating_taps(init)
        # the layer before its weights: where it is made without memory, so is a giant kernel
        self.conv = nn.ConvTranspose2d(
            self.in_channels, self.out_channels, kernel_size, self.scale, padding, output_padding=output_padding
        )
        if mix is None:
            init_conv_transpose(self.conv)
        else:
            init_weight(self.conv, separable(mix.T, taps))

    def _interpolating_taps(self, init: Start) -> Tensor:
        if init == "bilinear":
            return triangle(self.scale, self.kernel_size)
        if 2 * self.padding not in (self.kernel_size - self.scale, self.kernel_size - self.scale - 1):
            off = f"{abs(self.shift)} {'pixel' if abs(self.shift) == 1 else 'pixels'}"
            raise ConfigError(
                f"{self.describe()} cannot start with init='interpolate': its outputs lie {off} off the grid of "
                f"align_corners=False.\n"
                f"  try: init=bilinear, which interpolates on its own grid, or decoder=deconv."
            )
        return transposed_taps(self.name, self.scale, self.kernel_size)

    @property
    def arithmetic(self) -> ConvTranspose:
        """The size rule, output padding left out."""
        return ConvTranspose(self.kernel_size, self.scale, self.padding)

    @property
    def shift(self) -> Fraction:
        """Output pixels by which the kernel's centre lies below and right of the grid of ``align_corners=False``."""
        return Fraction(self.kernel_size - self.scale, 2) - self.padding

    def upsample(self, x: Tensor) -> Tensor:
        """Return the transposed convolution of ``x``."""
        return self.conv(x)

    def describe(self) -> str:
        """Return the name with kernel, stride and padding."""
        return f"'{self.name}' (kernel {self.kernel_size}, stride {self.scale}, padding {self.padding})"

    def label(self) -> str:
        """Return the name with kernel, stride and padding in few letters, and the shift where there is one."""
        shift = f" shift {self.shift}px" if self.shift else ""
        return f"{self.name} k{self.kernel_size} s{self.scale} p{self.padding}{shift}"

    def size_rule(self, low: int) -> str:
        """Return ``(low − 1)·stride − 2·padding + kernel`` in figures."""
        return self.arithmetic.axes[0].size_rule(low)


@register_upsampler("deconv")
class Deconv(TransposedConv):
    """Strided transposed convolution: every input value stamps its kernel, and overlapping stamps add.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        kernel_size: At least ``scale``. The default is ``2·scale`` for an even scale and ``2·scale - 1`` for an odd
            scale, with padding ``(kernel_size - scale) / 2``. The result is then ``scale·h``, and the kernel is the
            smallest that can interpolate on this grid. If ``scale`` does not divide the kernel, stamps overlap unevenly
            and give a checkerboard (Odena et al., Distill 2016). At odd scales the default does this; ``3·scale`` does
            not. If the difference to ``scale`` is odd, the padding is rounded down. Then the operator reaches one row
            more, and the centres of its kernels lie half a pixel too far down and right.
        init: ``"he"``, ``"bilinear"`` or ``"interpolate"`` (kernels of ``2·scale``, ``2·scale - 1`` for an odd scale,
            and larger), see :meth:`segup.upsamplers.deconv.TransposedConv.build`.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters: ``kernel_size²·in_channels·out_channels + out_channels``.

    >>> Deconv(8, 4).describe(), Deconv(8, 4, kernel_size=3).label()
    ("'deconv' (kernel 4, stride 2, padding 1)", 'deconv k3 s2 p0 shift 1/2px')
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: Count | None = None,
        init: Start = "bilinear",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        kernel_size = _usual_kernel(scale) if kernel_size is None else kernel_size
        if kernel_size < scale:
            raise ConfigError(
                f"'{self.name}': kernel_size={kernel_size!r} must be an int of at least the scale, {scale}: "
                f"a smaller kernel leaves gaps that hold bias alone\n  try: kernel_size={_usual_kernel(scale)}"
            )
        # Rounded down, so that an odd difference overshoots scale·h by one row: none is invented.
        self.build(kernel_size, (kernel_size - scale) // 2, 0, init)


def _usual_kernel(scale: int) -> int:
    return 2 * scale - scale % 2


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
