"""JBU: learned joint bilateral upsampling, with the image as the range."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import BelowOne, OddKernel
from segup.upsamplers.contract import Channels, Scale, Size, register_upsampler
from segup.upsamplers.guided import Guided
from segup.upsamplers.pooling import pool_to, reflect
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import attend
from segup.upsamplers.windows import is_traced

WIDTH = 32
"""Channels of the range projection."""
ROWS = 12
"""Of a result, which are made at once where no gradient is wanted: windows are copies."""


@register_upsampler("jbu")
class Jbu(Guided):
    """Resize ``x`` by 2, and average it where the image is alike and near; once for each doubling.

    FeatUp's joint bilateral upsampling (Fu et al., ICLR 2024, arXiv 2403.10516); for a pixel p and its neighbours q::

        range   = softmax over q of exp(temperature) · ⟨z(g[p]), z(g[q])⟩,  g: the image pooled to the stage's size
        spatial = exp(−|p − q|² / 2·sigma²)
        kernel  = range · spatial, divided by its sum  (+ 0.1 · fix(kernel, g))
        y[p]    = sum over q of kernel · resized x[q]

    Neighbours beyond the border are reflected. ``scale`` is reached by ⌈log₂ scale⌉ stages, each with weights of its
    own; the last reads the grid of ``scale``. If ``out_channels`` differs from ``in_channels``, a 1×1 convolution comes
    first.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit, guide: See
            :class:`segup.upsamplers.guided.Guided`. A size that no correction of the grid gives is reached by a resize
            to it in the last stage.
        source: The resize: ``"bilinear"`` or ``"bicubic"``.
        fix: Whether a correction of the kernel is predicted, as in the paper. With ``source="bilinear"`` and no fix
            every result is a convex combination of ``x``.
        kernel_size: Size of the neighbourhood, odd; 7 by default.
        dropout: In training, of the guide's projection and of the fix; none by default, 0.1 in the paper.

    Shape: ``(N, in_channels, h, w)`` and an image ``(N, image_channels, H₀, W₀)``, or a skip
    ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``, for any H ≥ h and W ≥ w.
    Parameters of a stage, with g the channels of the guide and k = ``kernel_size``: ``32·g + 1,090``, and with the fix
    ``k²·(2·k² + g + 2)`` more: 6,233 in the paper's form; and those of the 1×1 convolution.

    It cannot start as an interpolation: the range kernel is a softmax, which gives no zeros.

    Raises:
        ConfigError: ``guide="skip"`` without ``skip_channels``, or an option is out of range.
        ShapeError: The guide is missing or has another shape, or a size is smaller than the input's.

    >>> up = Jbu(16, 16, scale=4)
    >>> up(torch.rand(1, 16, 8, 9), size=(31, 36), image=torch.rand(1, 3, 62, 72)).shape
    torch.Size([1, 16, 31, 36])
    >>> sum(p.numel() for p in Jbu(8, 8, source="bicubic", fix=True).parameters())
    6233
    """

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        source: Literal["bilinear", "bicubic"] = "bilinear",
        fix: bool = False,
        kernel_size: OddKernel = 7,
        dropout: BelowOne = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.source, self.fix, self.kernel_size, self.dropout = source, fix, kernel_size, dropout
        self.averages = source == "bilinear" and not fix
        self.encoder = nn.Identity()
        count = math.ceil(math.log2(scale))
        self.stages = nn.ModuleList(
            JointBilateral(self.guide_channels, kernel_size, fix, dropout) for _ in range(count)
        )
        self.project = project(in_channels, out_channels)

    def guided(self, x: Tensor, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return ``x`` at ``made``, stage by stage."""
        whole, y = self.pooled(features, made, size), self.project(x)
        for index, stage in enumerate(self.stages):
            last = index == len(self.stages) - 1
            reached = made if last else (2 * y.shape[-2], 2 * y.shape[-1])
            y = F.interpolate(y, reached, mode=self.source, align_corners=False)
            y = stage(y, whole if last else pool_to(whole, reached))
        return y


class JointBilateral(nn.Module):
    """One stage: ``(N, C, H, W)`` and its guide ``(N, channels, H, W)`` → ``(N, C, H, W)``.

    >>> JointBilateral(3, 7, fix=False)(torch.zeros(1, 8, 5, 6), torch.zeros(1, 3, 5, 6)).shape
    torch.Size([1, 8, 5, 6])
    """

    def __init__(self, channels: int, kernel_size: int, fix: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        drop, drop_maps = (nn.Dropout(dropout), nn.Dropout2d(dropout)) if dropout else (nn.Identity(), nn.Identity())
        self.range = nn.Sequential(nn.Conv2d(channels, WIDTH, 1), nn.GELU(), drop, nn.Conv2d(WIDTH, WIDTH, 1))
        self.temperature, self.sigma = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))
        taps = kernel_size**2
        self.fix = (
            nn.Sequential(nn.Conv2d(taps + channels, taps, 1), nn.GELU(), drop_maps, nn.Conv2d(taps, taps, 1))
            if fix
            else None
        )

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Return the weighted sum of each pixel's neighbours.

        The product of range and spatial kernel, divided by its sum, is one softmax: it sums to 1 also where the paper's
        form, whose sum is at least 1e-7, does not. So it is attention within a window. The fix reads the kernels, and a
        traced program would hold all windows: there it is a sum of one neighbour after another.
        """
        z = self.range(guide)
        queries, bias = self.temperature.exp().clamp(1e-4, 1e4) * z, -self.distances()
        if self.fix is None and not is_traced():
            rows = None if torch.is_grad_enabled() else ROWS
            return attend(queries, z, x, self.kernel_size, scale=1, border="reflect", bias=bias, tile=rows)
        logits = torch.stack([(queries * near).sum(1) for near in _neighbours(z, self.kernel_size)], dim=1)
        kernel = (logits + bias[:, None, None]).softmax(1)
        kernel = kernel if self.fix is None else kernel + 0.1 * self.fix(torch.cat((kernel, guide), dim=1))
        return sum_over_taps(x, kernel, self.kernel_size)

    def distances(self) -> Tensor:
        """Return the exponents of the spatial kernel, ``(k²,)``: |p − q|²/2·sigma² from −1 to 1 across the window."""
        place = torch.linspace(-1, 1, self.kernel_size, device=self.sigma.device, dtype=self.sigma.dtype)
        place = place if self.kernel_size > 1 else torch.zeros_like(place)
        return ((place.square()[:, None] + place.square()) / (2 * self.sigma.square())).flatten()


def sum_over_taps(x: Tensor, kernel: Tensor, kernel_size: int) -> Tensor:
    """Return for each pixel the sum of its neighbours, reflected at the border, weighted by its ``k²`` weights."""
    terms = zip(_neighbours(x, kernel_size), kernel.to(x.dtype).split(1, dim=1), strict=True)
    first, weight = next(terms)
    y = first * weight
    for near, weight in terms:
        y = y + near * weight
    return y


def _neighbours(x: Tensor, kernel_size: int) -> list[Tensor]:
    """Return the map moved by each offset of the window, row by row, as views of one reflected map."""
    (height, width), extended = x.shape[-2:], reflect(x, kernel_size // 2) if kernel_size > 1 else x
    offsets = range(kernel_size)
    return [extended[..., row : row + height, column : column + width] for row in offsets for column in offsets]
