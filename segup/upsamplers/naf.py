"""NAF: neighbourhood attention, with queries and keys from the guide and the map itself as values."""

import math
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count, OddKernel
from segup.upsamplers.arguments import check_groups
from segup.upsamplers.contract import Channels, Scale, Size, register_upsampler
from segup.upsamplers.guided import GuidedByEncoder, normed_convs
from segup.upsamplers.pooling import ReflectConv, pool_to
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import attend

HEADS = 4


@register_upsampler("naf")
class Naf(GuidedByEncoder):
    """Average the cells around each pixel, weighted by how alike the image is there.

    NAF (Chambon et al., arXiv 2511.18452)::

        E = concat of two branches on the guide, of 1×1 and of 3×3 convolutions
        Q = rotary(E pooled to H × W),  K = Q pooled to h × w
        y = sum over the window of the pixel's cell of softmax(⟨Q, K⟩/√d) · x

    The values are ``x`` itself, in heads of neighbouring channels. Windows shift inwards at the border. So every result
    is a convex combination of ``x``. If ``out_channels`` differs from ``in_channels``, a 1×1 convolution comes first.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit, guide, tile: See
            :class:`segup.upsamplers.guided.GuidedByEncoder`, also for the sizes that it reaches.
        variant: ``"tiny"``: branches of 16 channels and one block, a window of 5×5. ``"paper"``: 128 channels and two
            blocks, a window of 9×9, rescaled coordinates.
        kernel_size: Size of the window in cells, odd; by default the variant's.
        heads: It must divide ``out_channels``. The default is the paper's 4, or the largest divisor that
            ``out_channels`` shares with it.

    Shape: ``(N, in_channels, h, w)`` and an image ``(N, image_channels, H₀, W₀)``, or a skip
    ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``, for any H ≥ h and W ≥ w.
    Parameters, with g the channels of the guide, m the width, b the blocks: ``10·m·g + 2·m + b·(20·m² + 12·m)``, all in
    the encoder, 662,528 in the paper's variant for 3 channels, 5,824 in the tiny one; and those of the 1×1 convolution.
    Multiply-accumulates: ``10·m·g + 20·b·m²`` for each pixel of the guide, 659,200 in the paper's variant and 5,600 in
    the tiny one, once for all steps of a decoder; ``k²·(2·m + out_channels)`` for each pixel of the result;
    ``in_channels·out_channels`` for each position of ``x`` in the 1×1 convolution. Pooling is not counted.

    An image of more than four times the size asked for is first made smaller, as in the paper, unless a decoder has
    encoded it for all its steps. In training, the paper's variant multiplies the coordinates of each pass by one random
    factor between ½ and 2.

    It cannot start as an interpolation: the weights are a softmax, which gives no zeros. At the start they are near
    each other, so it is near a mean over the window.

    Raises:
        ConfigError: ``guide="skip"`` without ``skip_channels``, or heads do not divide ``out_channels``.
        ShapeError: The guide is missing or has another shape, or a size is smaller than the input's.

    >>> up = Naf(16, 16)
    >>> up(torch.rand(1, 16, 16, 22), size=(224, 301), image=torch.rand(1, 3, 224, 301)).shape
    torch.Size([1, 16, 224, 301])
    >>> sum(p.numel() for p in Naf(384, 384, variant="paper").parameters())
    662528
    """

    variants = MappingProxyType(
        {
            "tiny": {"width": 16, "blocks": 1, "kernel_size": 5, "rescale": 1.0},
            "paper": {"width": 128, "blocks": 2, "kernel_size": 9, "rescale": 2.0},
        }
    )
    kernel_size: int

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: OddKernel | None = None,
        heads: Count | None = None,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.kernel_size = kernel_size or self.kernel_size
        self.heads = math.gcd(out_channels, HEADS) if heads is None else heads
        check_groups(self.name, self.heads, out_channels, "out_channels", "heads")
        check_groups(self.name, self.heads, self.width // 2, f"{self.variant}'s width/2", "heads")

    def build(self, width: int, blocks: int, kernel_size: int, rescale: float) -> None:
        """Make the encoder; keep the window, and the factor of the coordinates."""
        self.width, self.kernel_size, self.rescale = width, kernel_size, rescale
        self.encoder = TwoBranchEncoder(self.guide_channels, width, blocks)
        self.project = project(self.in_channels, self.out_channels)

    @classmethod
    def multiple(cls, *, heads: int | None = None, **_: object) -> int:
        """Return the heads: where none are given, fewer are made of channels that the usual number does not divide."""
        return HEADS if heads is None else heads

    def encode(self, guide: Tensor, size: Size) -> Tensor:
        """Return what the encoder makes of a guide, made smaller where it is far larger than ``size``."""
        return super().encode(shrunk(guide, size), size)

    def guided(self, x: Tensor, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return ``x`` at ``made``, by the attention of the guide's pixels to the cells around them."""
        on_grid = self.on_grid(x, made)
        query = rotary(self.pooled(features, made, size), self.heads, self.drawn_factor(x))
        key = F.avg_pool2d(query, self.scale) if on_grid else pool_to(query, (x.shape[-2], x.shape[-1]))
        key = key * (self.heads / key.shape[1]) ** 0.5
        scale = self.scale if on_grid else None
        return attend(query, key, self.project(x), self.kernel_size, self.heads, scale, tile=self.tile)

    def drawn_factor(self, x: Tensor) -> Tensor | float:
        """Return the factor of the coordinates in this pass: in training log-uniform from 1/rescale to rescale."""
        if not self.training or self.rescale == 1:
            return 1.0
        return self.rescale ** (2 * torch.rand((), device=x.device, dtype=x.dtype) - 1)


class TwoBranchEncoder(nn.Module):
    """Two branches, of 1×1 and of 3×3 convolutions: ``(N, in_channels, H, W)`` → ``(N, 2·width, H, W)``.

    >>> sum(p.numel() for p in TwoBranchEncoder(3, 128, 2).parameters())
    662528
    """

    def __init__(self, in_channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(ReflectConv(in_channels, width, kernel), *normed_convs(width, 2 * blocks, kernel))
            for kernel in (1, 3)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the features of both branches."""
        return torch.cat([branch(image) for branch in self.branches], dim=1)


def shrunk(image: Tensor, size: Size) -> Tensor:
    """Return an image of at most four times ``size``, as the paper encodes it."""
    height, width = image.shape[-2:]
    if height <= 4 * size[0] and width <= 4 * size[1]:
        return image
    most = 4 * min(size)
    return F.interpolate(image, (min(height, most), min(width, most)), mode="bilinear", align_corners=False)


def rotary(x: Tensor, heads: int, factor: Tensor | float = 1.0) -> Tensor:
    """Return ``(N, heads·d, H, W)`` with the channels of each head rotated by the pixel's place.

    The angles are 2πy/τ and 2πx/τ with y, x = 2(i + ½)/n − 1, from −1 to 1, and d/4 periods τ from 1 up to 100. They
    turn pairs of the first and the second half of a head's channels (RoFormer, arXiv 2104.09864, on two axes).

    >>> x = torch.randn(1, 8, 3, 5)
    >>> torch.allclose(rotary(x, 1).square().sum(1), x.square().sum(1), atol=1e-5)
    True
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    count = x.shape[1] // heads // 4
    frequency = 2 * math.pi * factor * 100 ** -(torch.arange(count, dtype=dtype, device=x.device) / count)
    down, across = (_centred(n, dtype, x.device) for n in x.shape[-2:])
    shape = (count, x.shape[-2], x.shape[-1])
    angle = torch.cat(
        ((frequency[:, None, None] * down[:, None]).expand(shape), (frequency[:, None, None] * across).expand(shape))
    )
    first, second = x.unflatten(1, (heads, 2, 2 * count)).unbind(2)  # N, heads, 2·count, H, W
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=2).flatten(1, 2).to(x.dtype)


def _centred(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return where the centres of ``size`` pixels lie between −1 and 1: whole numbers, divided once."""
    return (2 * torch.arange(size, dtype=dtype, device=device) + 1 - size) / size
