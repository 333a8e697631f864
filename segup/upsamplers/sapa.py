"""SAPA: each pixel of the skip chooses, by similarity, among the pixels of the input around it."""

from typing import Any

from torch import Tensor, nn

from segup.conform import Count, OddKernel
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.guide import on_grid
from segup.upsamplers.interpolation import init_drawn
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import attend
from segup.upsamplers.windows import Border


@register_upsampler("sapa")
class Sapa(Upsampler):
    """Weigh neighbourhoods of ``x`` by their similarity to the skip's pixel.

    SAPA-B (Lu et al., arXiv 2209.12866)::

        kernels = softmax over the kernel_size² neighbours j of ⟨query(norm(skip)), key(norm(x))[j]⟩
        y       = sum over j of kernels[j] · x[j]

    The norms are LayerNorm over the channels of each pixel. Query and key are 1×1 convolutions with a bias. The sum
    uses the original ``x``. If ``out_channels`` differs from ``in_channels``, a 1×1 convolution follows.

    Everything happens on the grid of ``scale·h × scale·w``. A skip that is up to ``scale - 1`` rows or columns larger
    is cut at the bottom and right. A smaller skip repeats its last row and column there. The result is corrected to the
    size asked for in the same way.

    Args:
        in_channels, out_channels, scale, fit: See :class:`segup.upsamplers.Upsampler`.
        skip_channels: Channels of the skip; required.
        kernel_size: Size of the neighbourhood, odd; 5 by default.
        compressed_channels: Channels of query and key; 32 by default.
        border: What the neighbourhoods read beyond the map. ``"zeros"``: keys and values of zero. The softmax includes
            them, as in the authors' code, so the outermost ``kernel_size // 2`` pixels of ``x`` give smaller values.
            ``"replicate"``: the nearest pixel. ``"shift"``: nothing, the neighbourhoods shift inwards. With the last
            two every result is a convex combination of ``x``.

    Shape: ``(N, in_channels, h, w)`` and a skip ``(N, skip_channels, H, W)`` → ``(N, out_channels, scale·h, scale·w)``
    or the size asked for.
    Parameters, with m = ``compressed_channels``: ``(m + 2)·(skip_channels + in_channels) + 2·m``, 17,472 for
    256 channels; and those of the 1×1 convolution.
    Multiply-accumulates for each position of ``x``, with s = ``scale`` and k = ``kernel_size``:
    ``s²·m·skip_channels + m·in_channels`` in query and key, ``s²·k²·m`` in the similarities, ``s²·k²·in_channels`` in
    the weighted sums, and ``s²·in_channels·out_channels`` in the 1×1 convolution. The norms are not counted.

    Raises:
        ConfigError: ``skip_channels`` is missing, or an option is out of range.
        ShapeError: The skip is missing, or has another number of channels, batch size or size.

    It has no ``init="interpolate"``. Similarities depend on the values of skip and input, not on the place of a pixel
    in its cell, and a softmax gives no zeros. At the start (small weights) it is near a 5×5 mean.

    >>> import torch
    >>> up = Sapa(16, 8, skip_channels=4)
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
        compressed_channels: Count = 32,
        border: Border = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.kernel_size, self.border, self.averages = kernel_size, border, border != "zeros"
        self.norm_skip, self.norm_x = ChannelNorm(self.skip_channels), ChannelNorm(in_channels)
        self.query = nn.Conv2d(self.skip_channels, compressed_channels, 1)
        self.key = nn.Conv2d(in_channels, compressed_channels, 1)
        init_drawn(self.query, self.key, std=0.02)
        self.project = project(in_channels, out_channels)

    def upsample(self, x: Tensor, *, skip: Tensor) -> Tensor:
        """Return ``x`` reassembled by its similarity to ``skip``."""
        query, key = self.queries(on_grid(x, skip, self.scale)), self.key(self.norm_x(x))
        y = attend(query, key, x, self.kernel_size, scale=self.scale, border=self.border)
        return self.project(y)

    def queries(self, skip: Tensor) -> Tensor:
        """Return what each pixel of the skip looks for, ``(N, compressed_channels, H, W)``."""
        return self.query(self.norm_skip(skip))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel of ``(N, C, H, W)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map."""
        y_nhwc = super().forward(x.permute(0, 2, 3, 1))
        return y_nhwc.permute(0, 3, 1, 2)
