"""FADE: kernels from skip and input together, and a gate between the two."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count, OddKernel
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.guide import on_grid
from segup.upsamplers.interpolation import init_drawn
from segup.upsamplers.projection import project
from segup.upsamplers.resize_conv import resize
from segup.upsamplers.window_sums import reassemble


@register_upsampler("fade")
class Fade(Upsampler):
    """Weigh neighbourhoods of ``x`` with kernels predicted from skip and ``x``, and mix in the skip by a gate.

    FADE (Lu et al., arXiv 2207.10392)::

        kernels = softmax(encode(compress_skip(skip)) + nearest(encode(compress_x(x))))
        gate    = nearest(sigmoid(gate(x)))
        y       = gate · skip + (1 - gate) · reassemble(x, kernels)

    The gate needs a skip with as many channels as ``x``. If ``skip_channels`` differs from ``in_channels``, a 1×1
    convolution gives the mixed-in skip ``in_channels`` channels. The kernels are predicted from the original skip. If
    ``out_channels`` differs from ``in_channels``, a 1×1 convolution follows.

    Everything happens on the grid of ``scale·h × scale·w``. A skip that is up to ``scale - 1`` rows or columns larger
    is cut at the bottom and right. A smaller skip repeats its last row and column there. The result is corrected to the
    size asked for in the same way. Outside the map, the convolutions and the weighted sums read zeros.

    Args:
        in_channels, out_channels, scale, fit: See :class:`segup.upsamplers.Upsampler`.
        skip_channels: Channels of the skip; required.
        kernel_size: Size of the neighbourhood, odd; 5 by default.
        compressed_channels: Channels from which the kernels are predicted; 64 by default.
        encoder_kernel: Kernel size of the convolution that predicts them, shared by skip and ``x``, odd; 3 by default.

    Shape: ``(N, in_channels, h, w)`` and a skip ``(N, skip_channels, H, W)`` → ``(N, out_channels, scale·h, scale·w)``
    or the size asked for.
    Parameters, with m = ``compressed_channels``, k = ``kernel_size``, e = ``encoder_kernel``:
    ``m·(skip_channels + in_channels + 1) + k²·(m·e² + 1) + in_channels + 1``, 47,514 for 256 channels; and those of
    the 1×1 convolutions.
    Multiply-accumulates for each position of ``x``, with s = ``scale``:
    ``s²·m·skip_channels + (m + 1)·in_channels + (s² + 1)·m·e²·k²`` in the convolutions, ``s²·k²·in_channels`` in the
    weighted sums, and ``s²·skip_channels·in_channels`` and ``s²·in_channels·out_channels`` in the 1×1 convolutions.
    Resizing and mixing are not counted.

    Raises:
        ConfigError: ``skip_channels`` is missing, or an option is out of range.
        ShapeError: The skip is missing, or has another number of channels, batch size or size.

    It has no ``init="interpolate"``. An interpolation depends on the place of a pixel in its cell and has weights of
    zero. The kernels are a softmax of skip and input: they do not know this place, and a softmax gives no zeros.

    >>> import torch
    >>> up = Fade(16, 8, skip_channels=4)
    >>> skip = torch.rand(1, 4, 33, 47)
    >>> up(torch.rand(1, 16, 17, 24), size=skip.shape[-2:], skip=skip).shape
    torch.Size([1, 8, 33, 47])
    """

    requires = frozenset({"skip"})
    projects = "last"

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: OddKernel = 5,
        compressed_channels: Count = 64,
        encoder_kernel: OddKernel = 3,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.kernel_size = kernel_size
        self.compress_skip = nn.Conv2d(self.skip_channels, compressed_channels, 1)
        self.compress_x = nn.Conv2d(in_channels, compressed_channels, 1, bias=False)
        self.encode = nn.Conv2d(compressed_channels, kernel_size**2, encoder_kernel, padding=encoder_kernel // 2)
        self.gate = nn.Conv2d(in_channels, 1, 1)
        init_drawn(self.compress_skip, self.compress_x, self.encode, self.gate)
        self.project_skip = project(self.skip_channels, in_channels)
        self.project = project(in_channels, out_channels)

    def upsample(self, x: Tensor, *, skip: Tensor) -> Tensor:
        """Return the gated mixture of ``skip`` and the reassembled ``x``."""
        skip = on_grid(x, skip, self.scale)
        gate = resize(self.gate(x).sigmoid(), self.scale, "nearest")
        reassembled = reassemble(x, self.kernels(x, skip), self.kernel_size, scale=self.scale)
        return self.project(gate * self.project_skip(skip) + (1 - gate) * reassembled)

    def kernels(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the kernels ``(N, kernel_size², scale·h, scale·w)`` for a skip on the grid; they sum to 1."""
        logits = self.encode(self.compress_skip(skip)) + resize(self.encode(self.compress_x(x)), self.scale, "nearest")
        return F.softmax(logits, dim=1)
