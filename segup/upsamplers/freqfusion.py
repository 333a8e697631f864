"""FreqFusion: a low-pass for the map, a high-pass for the skip, and offsets, all predicted from both."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count, OddKernel
from segup.upsamplers.arguments import check_groups
from segup.upsamplers.contract import Channels, Scale, Size, Upsampler, register_upsampler
from segup.upsamplers.dysample import sample_at_offsets
from segup.upsamplers.fitting import fit_to
from segup.upsamplers.guide import on_grid
from segup.upsamplers.interpolation import init_drawn
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import reassemble

NEIGHBOURS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
USUAL_GROUPS = 4


@register_upsampler("freqfusion")
class FreqFusion(Upsampler):
    """Smooth the map while it is brought up, sharpen the skip, and move what is blurred to where it belongs.

    FreqFusion (Chen et al., TPAMI 2024, arXiv 2408.12879), with X, Y = 1×1 convolutions of skip and ``x``; L and G
    predict a 5×5 and a 3×3 kernel for each pixel; N is a softmax times a Hamming window, divided by its sum; R(m, k)
    the sum over the neighbours in m, weighted by k, at the size of k::

        X     ← 2·X − R(X, N(G(X)))
        low   = L(X) + R(L(Y), N(L(X)))
        high  = G(X before) + R(G(Y), N(low))
        y     = R(x, N(low)), sampled bilinearly at each pixel's place + offset(X, Y)
        skip' = 2·skip − R(skip, N(high))

    The map ``y`` is what :meth:`forward` returns. :meth:`with_skip` also returns the changed skip, which a topology
    joins in the place of its own. If ``out_channels`` differs from ``in_channels``, a 1×1 convolution follows ``y``.

    Everything but ``skip'`` happens on the grid of ``scale·h × scale·w``; the skip is cut or repeated onto it, and the
    result is corrected to the size asked for. Kernels read the reflected map beyond the border, samples its edge.

    Args:
        in_channels, out_channels, scale, fit: See :class:`segup.upsamplers.Upsampler`.
        skip_channels: Channels of the skip; required.
        compressed_channels: Channels of X and Y, a multiple of 8; 64 by default.
        low_kernel, high_kernel: Sizes of the two kernels, odd; 5 and 3 by default.
        groups: Groups of neighbouring channels, each with its own offsets. It must divide ``in_channels``. The default
            is the paper's 4, or the largest divisor that ``in_channels`` shares with it.

    Shape: ``(N, in_channels, h, w)`` and a skip ``(N, skip_channels, H, W)`` → ``(N, out_channels, scale·h, scale·w)``
    or the size asked for; the skip keeps its shape.
    Parameters, with m = ``compressed_channels``, k and e the two kernels, s = ``scale``, g = ``groups``:
    ``m·(in_channels + skip_channels + 2) + (9·m + 1)·(k² + e²)`` in the kernels and
    ``4·m + (9·(m + 8) + 1)·4·g·(s² + 1)`` in the offsets, of which 52,176 are the paper's: 80,114, 88,306 and 104,690
    for 64, 128 and 256 channels of both; and those of the 1×1 convolution.

    Raises:
        ConfigError: ``skip_channels`` is missing, or an option is out of range.
        ShapeError: The skip is missing, or has another number of channels, batch size or size.

    It cannot start as an interpolation: its kernels are a softmax, which gives no zeros. The predicted kernels and
    offsets start with weights of 0.001, near a mean of the neighbourhood at the pixel's own place. The sampling's
    gradient is not deterministic on CUDA.

    >>> up = FreqFusion(16, 16, skip_channels=4)
    >>> x, skip = torch.rand(1, 16, 17, 24), torch.rand(1, 4, 33, 47)
    >>> y, changed = up.with_skip(x, skip.shape[-2:], skip=skip)
    >>> y.shape, changed.shape, up(x, skip.shape[-2:], skip=skip).equal(y)
    (torch.Size([1, 16, 33, 47]), torch.Size([1, 4, 33, 47]), True)
    >>> sum(p.numel() for p in FreqFusion(64, 64, skip_channels=64).parameters())
    80114
    """

    requires = frozenset({"skip"})
    projects = "last"
    averages = True  # the map; the changed skip is no mean of the skip

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        compressed_channels: Count = 64,
        low_kernel: OddKernel = 5,
        high_kernel: OddKernel = 3,
        groups: Count | None = None,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        groups = math.gcd(in_channels, USUAL_GROUPS) if groups is None else groups
        check_groups(self.name, groups, in_channels)
        check_groups(self.name, 8, compressed_channels, "compressed_channels", "GroupNorm's groups")
        self.low_kernel, self.high_kernel, self.groups = low_kernel, high_kernel, groups
        self.compress_skip = nn.Conv2d(self.skip_channels, compressed_channels, 1)
        self.compress_x = nn.Conv2d(in_channels, compressed_channels, 1)
        self.low, self.high = (nn.Conv2d(compressed_channels, k**2, 3, padding=1) for k in (low_kernel, high_kernel))
        init_drawn(self.compress_skip, self.compress_x)
        init_drawn(self.low, self.high, std=0.001)
        self.offsets = Offsets(compressed_channels, groups, scale)
        self.project = project(in_channels, out_channels)

    @classmethod
    def multiple(cls, *, groups: int | None = None, **_: object) -> int:
        """Return the groups: where none are given, fewer are made of channels that the usual number does not divide."""
        return USUAL_GROUPS if groups is None else groups

    def upsample(self, x: Tensor, *, skip: Tensor) -> Tensor:
        """Return the smoothed and moved ``x`` on the grid."""
        return self.both(x, skip)[0]

    def with_skip(self, x: Tensor, size: Size | None = None, **guides: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the map at ``size``, and the sharpened skip at its own."""
        return self(x, size, joins=True, **guides)

    def forward(  # type: ignore[override]
        self, x: Tensor, size: Size | None = None, *, joins: bool = False, **guides: Tensor | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the map at ``size``; with ``joins`` also the sharpened skip, as :meth:`with_skip` does."""
        if not joins:
            return super().forward(x, size, **guides)
        wanted, given = self.checked(x, size, guides)
        skip, (y, kernels) = given["skip"], self.both(x, **given)
        kernels = fit_to(kernels, wanted, self.scale - 1)
        smooth = reassemble(skip, kernels, self.high_kernel, scale=1, border="reflect")
        return fit_to(y, wanted, most=self.scale - 1), 2 * skip - smooth

    def both(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map and the kernels of the skip, on the grid."""
        of_skip, of_x = self.compress_skip(on_grid(x, skip, self.scale)), self.compress_x(x)
        high = self.high(of_skip)
        of_skip = 2 * of_skip - reassemble(
            of_skip, normalised(high, self.high_kernel), self.high_kernel, 1, 1, "reflect"
        )
        low = self.low(of_skip)
        low = low + self.brought_up(self.low(of_x), low)
        high = high + self.brought_up(self.high(of_x), low)
        y = sample_at_offsets(self.brought_up(x, low), self.offsets(of_skip, of_x) * self.scale, scale=1)
        projected: Tensor = self.project(y)
        return projected, normalised(high, self.high_kernel)

    def brought_up(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return the map smoothed by the kernels of these logits, at their size."""
        kernels = normalised(logits, self.low_kernel)
        return reassemble(x, kernels, self.low_kernel, scale=self.scale, border="reflect")


def normalised(logits: Tensor, kernel_size: int) -> Tensor:
    """Return kernels ``(N, k², H, W)``: a softmax times a Hamming window, divided by its sum.

    As one softmax of the logits plus the window's logarithm, which is the same, without a sum that may be near zero.

    >>> round(float(normalised(torch.zeros(1, 9, 1, 1), 3).sum()), 4)
    1.0
    """
    return (logits + hamming(kernel_size, logits).log()[:, None, None]).softmax(dim=1)


def hamming(kernel_size: int, like: Tensor) -> Tensor:
    """Return the Hamming window of k × k, flat: 0.54 − 0.46·cos(2πi/(k − 1)) along each axis.

    >>> [round(value, 4) for value in hamming(3, torch.empty(0)).tolist()[:5]]
    [0.0064, 0.08, 0.0064, 0.08, 1.0]
    """
    place = torch.arange(kernel_size, device=like.device, dtype=like.dtype) / max(kernel_size - 1, 1)
    along = 0.54 - 0.46 * (2 * math.pi * place).cos() if kernel_size > 1 else torch.ones_like(place)
    return (along[:, None] * along).flatten()


class Offsets(nn.Module):
    """Where to sample, from skip and map and how alike each of their pixels is to its neighbours.

    ``(N, C, scale·h, scale·w)`` and ``(N, C, h, w)`` → ``(N, 2, groups, scale·h, scale·w)`` in pixels of the map,
    columns first, then rows; zero is the pixel's own place.
    """

    def __init__(self, channels: int, groups: int, scale: int) -> None:
        super().__init__()
        self.groups, self.scale = groups, scale
        self.norm_skip, self.norm_x = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        read, made = channels + len(NEIGHBOURS), 2 * groups
        self.of_x, self.range_of_x = (nn.Conv2d(read, made * scale**2, 3, padding=1) for _ in range(2))
        self.of_skip, self.range_of_skip = (nn.Conv2d(read, made, 3, padding=1) for _ in range(2))
        init_drawn(self.of_x, self.of_skip, std=0.001)
        init_drawn(self.range_of_x, self.range_of_skip, std=0.0)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return the offsets."""
        skip, x = with_similarities(self.norm_skip(skip)), with_similarities(self.norm_x(x))
        shuffled = (F.pixel_shuffle(layer(x), self.scale) for layer in (self.of_x, self.range_of_x))
        moved, reach = next(shuffled) + self.of_skip(skip), next(shuffled) + self.range_of_skip(skip)
        wide = torch.promote_types(x.dtype, torch.float32)
        return (moved.to(wide) * reach.to(wide).sigmoid()).unflatten(1, (2, self.groups))


def with_similarities(x: Tensor) -> Tensor:
    """Return ``(N, C, H, W)`` with 8 channels more: the cosines to the neighbours, row by row, 0 beyond the border."""
    unit = F.normalize(x, dim=1)
    extended = F.pad(unit, (1, 1, 1, 1))
    height, width = x.shape[-2:]
    alike = [
        (unit * extended[..., 1 + row : 1 + row + height, 1 + column : 1 + column + width]).sum(1)
        for row, column in NEIGHBOURS
    ]
    return torch.cat((x, torch.stack(alike, dim=1)), dim=1)
