"""AnyUp: attention to the cells near a pixel, whose keys do not depend on how many channels the map has.

Shapes: N images, C channels, h·w cells of the map, H·W pixels of the result, m pixels in a cell, k² cells in a window.
"""

from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.upsamplers.cells import to_grid
from segup.upsamplers.contract import Size, register_upsampler
from segup.upsamplers.guided import GuidedByEncoder, normed_convs
from segup.upsamplers.interpolation import init_drawn
from segup.upsamplers.pooling import ReflectConv, pool_to
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import attend

HEADS = 4
TENTHS = 10
"""A window reaches a tenth of the map's side beyond its pixel, both ways."""
CHANNELS_AT_ONCE = 64
"""Of the map, for each of which the unification holds ``width`` maps."""


@register_upsampler("anyup")
class AnyUp(GuidedByEncoder):
    """Average the cells within a tenth of the map around each pixel, by how alike image and map are there.

    AnyUp (Wimmer et al., ICLR 2026, arXiv 2510.12764), with E the encoded image, its pixels' places as rotations::

        Q = conv3×3(enc_q(E) pooled to H × W)
        K = blocks(conv3×3(concat[enc_k(E) pooled to h × w, blocks(unified(x))]))
        y = sum over the cells within a tenth of the map of (mean over heads of softmax(⟨Q, K⟩/√d)) · x

    ``unified`` correlates each channel of ``x``, divided by the norm over its channels, with ``width`` learned 5×5
    kernels, takes a softmax over the kernels, and the mean over the channels. So no weight belongs to a channel of
    ``x``: where ``out_channels`` equals ``in_channels``, one module takes maps of any number of channels, and the
    values are ``x`` itself, so every result is a convex combination of it. Else a 1×1 convolution makes the values.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit, guide, tile: See
            :class:`segup.upsamplers.guided.GuidedByEncoder`, also for the sizes that it reaches.
        variant: ``"tiny"``: 32 channels, one block. ``"paper"``: 128 channels, two blocks.

    Shape: ``(N, in_channels, h, w)`` and an image ``(N, image_channels, H₀, W₀)``, or a skip
    ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``, for any H ≥ h and W ≥ w.
    Parameters, with g the channels of the guide, m the width, b the blocks: ``g·m + 31·m² + 10·b·m² + 20·b·m + 31·m``,
    845,056 in the paper's variant for 3 channels, 43,712 in the tiny one; and those of the 1×1 convolution. The paper's
    module has 33,024 more, of projections of values and result, which have no effect.
    Multiply-accumulates: ``g·m + (2 + 6·b)·m²`` for each pixel of the guide, 229,760 in the paper's variant and 8,288
    in the tiny one, once for all steps of a decoder; ``10·m² + k²·(m + out_channels)`` for each pixel of the result,
    with k = 2·⌈max(h, w)/10⌉ + 1; ``25·m·in_channels + (19 + 4·b)·m²`` for each position of ``x``, and
    ``in_channels·out_channels`` in the 1×1 convolution. Pooling and rotation are not counted. Traced programs attend to
    all cells and hide those that are too far.

    It cannot start as an interpolation: the weights are a softmax, which gives no zeros.

    Raises:
        ConfigError: ``guide="skip"`` without ``skip_channels``, or an option is unknown.
        ShapeError: The guide is missing or has another shape, or a size is smaller than the input's.

    >>> up = AnyUp(16, 16)
    >>> [up(torch.rand(1, c, 8, 9), size=(31, 40), image=torch.rand(1, 3, 62, 80)).shape[1] for c in (8, 512)]
    [8, 512]
    >>> sum(p.numel() for p in AnyUp(384, 384, variant="paper").parameters())
    845056
    """

    variants = MappingProxyType({"tiny": {"width": 32, "blocks": 1}, "paper": {"width": 128, "blocks": 2}})

    def build(self, width: int, blocks: int) -> None:
        """Make the encoder of the image and that of the map: ``width`` channels, ``blocks`` residual blocks."""
        self.width = width
        self.encoder = QueriesAndKeys(self.guide_channels, width, blocks)
        self.unification = Unification(width)
        self.of_map = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.join = nn.Sequential(
            ReflectConv(2 * width, width, 3, bias=False), *(Residual(width) for _ in range(blocks))
        )
        self.smooth = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.query, self.key = (nn.Sequential(ChannelRms(width), _xavier(width)) for _ in range(2))
        self.project = project(self.in_channels, self.out_channels)

    def takes(self, channels: int) -> bool:
        """Return whether a map may have so many channels: any number where they do not change."""
        return self.in_channels in (channels, self.out_channels)

    def guided(self, x: Tensor, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return ``x`` at ``made``, by the attention of the guide's pixels to the cells near them."""
        of_query, of_key = features.chunk(2, dim=1)
        query = self.query(self.smooth(self.pooled(of_query, made, size)))
        value = self.project(x)
        joined = torch.cat((pool_to(of_key, (x.shape[-2], x.shape[-1])), self.of_map(self.unification(x))), dim=1)
        query, key = query * (HEADS / self.width) ** 0.5, self.key(self.join(joined))
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # the size of a window depends on the map's
            return attend_to_all(query, key, value)
        low = (x.shape[-2], x.shape[-1])
        kernel_size = 2 * -(-max(low) // TENTHS) + 1
        scale = self.scale if self.on_grid(x, made) else None
        taken = near_in_window(low, made, kernel_size, x.device)
        return attend(
            query, key, value, kernel_size, HEADS, scale, border="zeros", taken=taken, average=True, tile=self.tile
        )


class QueriesAndKeys(nn.Module):
    """The image's features for queries and keys: ``(N, channels, H, W)`` → ``(N, 2·width, H, W)``.

    >>> QueriesAndKeys(3, 16, blocks=1)(torch.zeros(1, 3, 5, 6)).shape
    torch.Size([1, 32, 5, 6])
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.image, self.query, self.key = (
            nn.Sequential(nn.Conv2d(c, width, 1, bias=False), *(Residual(width) for _ in range(blocks)))
            for c in (channels, width, width)
        )
        self.place = RotaryPlace(width)

    def forward(self, image: Tensor) -> Tensor:
        """Return both, the queries' first."""
        features = self.place(self.image(image))
        return torch.cat((self.query(features), self.key(features)), dim=1)


class Residual(nn.Module):
    """``x`` plus two 1×1 convolutions of it, each after GroupNorm and SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*normed_convs(width, 2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.layers(x)


class ChannelRms(nn.RMSNorm):
    """RMSNorm over the channels of each pixel of ``(N, C, H, W)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map."""
        y_nhwc = super().forward(x.permute(0, 2, 3, 1))
        return y_nhwc.permute(0, 3, 1, 2)


class RotaryPlace(nn.Module):
    """Channels turned by the place of their pixel, as JAFAR turns them: pairs (c, c + C/2) by learned frequencies.

    The first half of the channels starts with frequencies of the rows, the second half with those of the columns:
    2π·100^(−j/(C/4 − 1)), twice. Places lie between 0 and 1, both ends included.

    >>> x = torch.randn(1, 8, 2, 3)
    >>> torch.equal(RotaryPlace(8)(x)[..., 0, 0], x[..., 0, 0])
    True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        count = channels // 4
        once = 2 * torch.pi * 100.0 ** -(torch.arange(count) / max(count - 1, 1))
        self.frequency = nn.Parameter(torch.block_diag(torch.cat((once, once)), torch.cat((once, once))))

    def forward(self, x: Tensor) -> Tensor:
        """Return the turned map."""
        wide = torch.promote_types(x.dtype, torch.float32)
        down, across = (_from_0_to_1(n, wide, x.device) for n in x.shape[-2:])
        of_rows, of_columns = self.frequency.to(wide)[:, :, None, None]
        angle = down[:, None] * of_rows + across * of_columns
        first, second = x.chunk(2, dim=1)
        return (x * angle.cos() + torch.cat((-second, first), dim=1) * angle.sin()).to(x.dtype)


def _from_0_to_1(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    place = torch.arange(size, dtype=dtype, device=device)
    return place / place[-1:].clamp(min=1)


class Unification(nn.Module):
    """A map of any number of channels as one of ``width``: ``(N, C, h, w)`` → ``(N, width, h, w)``.

    >>> unification = Unification(16)
    >>> [unification(torch.rand(1, c, 5, 6)).shape[1] for c in (1, 100)]
    [16, 16]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.basis = nn.Conv2d(1, width, 5, padding=2, bias=False)
        nn.init.normal_(self.basis.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over the channels of the softmax over the kernels."""
        count, channels, height, width = x.shape
        taps = _taps_inside(height, x).unsqueeze(1) * _taps_inside(width, x)
        total: Tensor | float = 0.0
        for part in F.normalize(x, dim=1).split(CHANNELS_AT_ONCE, dim=1):
            alike = self.basis(part.reshape(count * part.shape[1], 1, height, width)) / taps
            total = total + alike.softmax(dim=1).unflatten(0, (count, part.shape[1])).sum(1)
        return total / channels  # type: ignore[return-value]


def _taps_inside(size: int, like: Tensor) -> Tensor:
    """Return how many of 5 taps around each place lie inside ``size``."""
    place = torch.arange(size, device=like.device)
    return (1 + place.clamp(max=2) + place.flip(0).clamp(max=2)).to(like.dtype)


def near(low: int, high: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first and the last of ``low`` cells that each of ``high`` pixels attends to.

    They are ⌊low·max(0, p − 0.1)⌋ and ⌈low·min(1, p + 0.1)⌉ − 1 with p = (i + ½)/high, in whole numbers.

    >>> [cells.tolist() for cells in near(10, 5, torch.device("cpu"))]
    [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    """
    place, whole = TENTHS * (2 * torch.arange(high, device=device) + 1), 2 * TENTHS * high
    first = torch.div(low * (place - 2 * high), whole, rounding_mode="floor")
    last = torch.div(low * (place + 2 * high) + whole - 1, whole, rounding_mode="floor") - 1
    return first.clamp(min=0), last.clamp(max=low - 1)


def near_in_window(low: Size, high: Size, kernel_size: int, device: torch.device) -> Tensor:
    """Return which cells of its cell's window each pixel attends to, ``(h·w, m, k²)``, as attention has its weights."""
    rows, columns = (_in_window(cells, pixels, kernel_size, device) for cells, pixels in zip(low, high, strict=True))
    taken = rows[:, None, :, None, :, None] & columns[:, None, :, None, :]  # h, w, m_h, m_w, k, k
    return taken.flatten(4).flatten(2, 3).flatten(0, 1)


def _in_window(low: int, high: int, kernel_size: int, device: torch.device) -> Tensor:
    ends = torch.stack(near(low, high, device)).reshape(1, 2, high, 1)
    first, last = to_grid(ends, (low, 1)).reshape(2, low, -1, 1)
    cell = torch.arange(low, device=device)[:, None, None] + torch.arange(kernel_size, device=device) - kernel_size // 2
    return (cell >= first) & (cell <= last)


def attend_to_all(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the same attention from the logits of all cells, of which those that are too far are hidden."""
    low, high = value.shape[-2:], query.shape[-2:]
    ends = [near(*sizes, query.device) for sizes in zip(low, high, strict=True)]
    cells = [torch.arange(n, device=query.device) for n in low]
    rows, columns = (
        (cell >= first[:, None]) & (cell <= last[:, None]) for cell, (first, last) in zip(cells, ends, strict=True)
    )
    taken = (rows[:, None, :, None] & columns[:, None, :]).flatten(2).flatten(0, 1)  # H·W, h·w
    q, k = (of.contiguous().flatten(2).unflatten(1, (HEADS, of.shape[1] // HEADS)) for of in (query, key))
    weights = (q.mT @ k).masked_fill(~taken, -torch.inf).softmax(dim=-1).mean(1).to(value.dtype)
    return (value.flatten(2) @ weights.mT).unflatten(2, (high[0], high[1]))


def _xavier(width: int) -> nn.Conv2d:
    mixing = nn.Conv2d(width, width, 1)
    init_drawn(mixing)
    return mixing
