"""UPLiFT: shared steps of ×2, each a weighted mean of 17 cells whose weights come from the image and the map."""

from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.symbols import known_equal
from segup.upsamplers.cells import cell_of
from segup.upsamplers.contract import Size, register_upsampler
from segup.upsamplers.fitting import fit_to
from segup.upsamplers.guided import GuidedByEncoder
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import reassemble

# fmt: off
NEIGHBOURS = (
    (-2, -2), (-2, 0), (-2, 2), (-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1), (0, 0), (0, 1), (0, 2),
    (1, -1), (1, 0), (1, 1), (2, -2), (2, 0), (2, 2),
)
# fmt: on
"""The cells that a step weighs, as (row, column) from the pixel's own."""


@register_upsampler("uplift")
class Uplift(GuidedByEncoder):
    """Double the map, and double it again: each time a weighted mean of 17 cells around the pixel's.

    UPLiFT (Walmer et al., CVPR 2026, arXiv 2601.17950). Each step, with weights that all steps share::

        d    = double(concat[x, E₅ at the size of x])
        z    = double(concat[transposed convolution(d) + bilinear(d), E₄ at the step's size])
        a    = softmax over 17 of (conv1×1(z) + z's first 17 channels)
        y[p] = sum over n of a_n[p] · x[cell(p) + δ_n]

    E₄ and E₅ are the last two of the image encoder's maps, of which nearest pixels are read. ``double`` is twice a 3×3
    convolution, BatchNorm and ReLU, then a 1×1 convolution, plus the first channels of its input. ``scale`` is reached
    by ⌈log₂ scale⌉ steps; the last one reads the grid asked for. Beyond the border stands the nearest cell. So every
    result is a convex combination of ``x``, whatever the number of steps. If ``out_channels`` differs from
    ``in_channels``, a 1×1 convolution comes first.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit, guide, tile: See
            :class:`segup.upsamplers.guided.GuidedByEncoder`, also for the sizes that it reaches. Tiles are of the rows
            of a step.
        variant: ``"tiny"``: an encoder of 8, 16 and 16 channels, steps of 24. ``"paper"``: 16, 32, 64, 128 and 128,
            steps of 64.

    Shape: ``(N, in_channels, h, w)`` and an image ``(N, image_channels, H₀, W₀)``, or a skip
    ``(N, skip_channels, H, W)`` → ``(N, out_channels, H, W)``, for any H ≥ h and W ≥ w.
    Parameters with C = ``out_channels``: ``568,337 + 576·C`` in the paper's variant for 3 channels of the guide, 1,105
    of them in the attender, and ``30,977 + 216·C`` in the tiny one; and those of the 1×1 convolution.
    Multiply-accumulates: 282,800 for each pixel of the guide in the paper's variant and 4,248 in the tiny one, once for
    all steps of a decoder; for each step, with m its channels, e₄ and e₅ those of the two maps, for each position of
    what it doubles ``9·m·(C + e₅) + 14·m²``, and for each pixel of its result ``9·m·(m + e₄) + 10·m² + 17·m + 17·C``.
    Resizing is not counted.

    It cannot start as an interpolation: the weights are a softmax, which gives no zeros.

    Raises:
        ConfigError: ``guide="skip"`` without ``skip_channels``, or an option is unknown.
        ShapeError: The guide is missing or has another shape, or a size is smaller than the input's.

    >>> up = Uplift(16, 16, scale=4)
    >>> up(torch.rand(1, 16, 8, 9), size=(31, 36), image=torch.rand(1, 3, 62, 72)).shape
    torch.Size([1, 16, 31, 36])
    >>> sum(p.numel() for p in Uplift(384, 384, variant="paper").parameters())
    789521
    """

    variants = MappingProxyType(
        {"tiny": {"widths": (8, 16, 16), "width": 24}, "paper": {"widths": (16, 32, 64, 128, 128), "width": 64}}
    )

    def build(self, widths: tuple[int, ...], width: int) -> None:
        """Make the encoder of the image, of blocks of ``widths``, and the networks of a step, of ``width`` channels."""
        self.encoder, self.maps = ImageEncoder(self.guide_channels, widths), list(widths[-2:])
        fine, coarse = self.maps
        self.project = project(self.in_channels, self.out_channels)
        self.of_map = Double(self.out_channels + coarse, width)
        self.transposed = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.of_result = Double(width + fine, width)
        self.attender = nn.Conv2d(width, len(NEIGHBOURS), 1)

    def guided(self, x: Tensor, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return ``x`` at ``made``, step by step."""
        features = fit_to(nearest(features, size), made, most=self.scale - 1)
        y = self.project(x)
        for reached in self.sizes((x.shape[-2], x.shape[-1]), made, self.on_grid(x, made)):
            y = self.step(y, features, reached)
        return y

    def sizes(self, low: Size, made: Size, on_grid: bool) -> list[Size]:
        """Return the sizes that the steps reach, each at most twice the one before; the last is ``made``."""
        start, end = ((1, 1), (self.scale, self.scale)) if on_grid else (low, made)
        reached: list[Size] = []
        times = 2
        while times * start[0] < end[0] or times * start[1] < end[1]:
            doubled = (times * low[0], times * low[1])
            reached.append(doubled if on_grid else (min(doubled[0], made[0]), min(doubled[1], made[1])))
            times *= 2
        return [*reached, made]

    def step(self, x: Tensor, features: Tensor, reached: Size) -> Tensor:
        """Return ``x`` at ``reached``, at most twice its size."""
        low = (x.shape[-2], x.shape[-1])
        twice = (2 * low[0], 2 * low[1])
        fine, coarse = features.split(self.maps, dim=1)
        d = self.of_map(torch.cat((x, nearest(coarse, low)), dim=1))
        d = self.transposed(d) + F.interpolate(d, twice, mode="bilinear", align_corners=True)
        doubled = known_equal(twice, reached)
        if not doubled:
            d = _at(d, *(cell_of(n, wanted, x.device) for n, wanted in zip(twice, reached, strict=True)))
        weights = self.weights(self.of_result(torch.cat((d, nearest(fine, reached)), dim=1)))
        if doubled:
            return reassemble(x, weights, kernel_size=5, border="replicate", offsets=NEIGHBOURS, tile=self.tile)
        rows, columns = (cell_of(n, wanted, x.device) for n, wanted in zip(low, reached, strict=True))
        terms = [
            weight * _at(x, (rows + down).clamp(0, low[0] - 1), (columns + across).clamp(0, low[1] - 1))
            for weight, (down, across) in zip(weights.to(x.dtype).split(1, dim=1), NEIGHBOURS, strict=True)
        ]
        return torch.stack(terms).sum(0)

    def weights(self, z: Tensor) -> Tensor:
        """Return the weights of the 17 cells, which sum to 1."""
        logits: Tensor = self.attender(z) + z[:, : len(NEIGHBOURS)]
        return logits.softmax(dim=1)


class ImageEncoder(nn.Module):
    """Blocks whose last two maps guide: ``(N, in_channels, H, W)`` → ``(N, widths[-2] + widths[-1], H, W)``.

    >>> ImageEncoder(3, (8, 16, 16))(torch.zeros(1, 3, 5, 6)).shape
    torch.Size([1, 32, 5, 6])
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _convs(before, after, 1) for before, after in zip((in_channels, *widths), widths, strict=False)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the last two maps."""
        maps = [image]
        for block in self.blocks:
            maps.append(_plus_first(block(maps[-1]), maps[-1]))
        return torch.cat(maps[-2:], dim=1)


class Double(nn.Module):
    """Two 3×3 convolutions and a 1×1, plus the first channels of the input."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.layers = _convs(in_channels, width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return _plus_first(self.layers(x), x)


def _convs(in_channels: int, width: int, count: int) -> nn.Sequential:
    """Return ``count`` times a 3×3 convolution, BatchNorm and ReLU, then a 1×1 convolution."""
    layers: list[nn.Module] = []
    for channels in [in_channels, *[width] * (count - 1)]:
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 1))


def _plus_first(y: Tensor, x: Tensor) -> Tensor:
    """Return ``y`` plus the first channels of ``x``, which may be fewer."""
    missing = y.shape[1] - x.shape[1]
    return y + (x[:, : y.shape[1]] if missing <= 0 else F.pad(x, (0, 0, 0, 0, 0, missing)))


def nearest(x: Tensor, size: Size) -> Tensor:
    """Return the map at ``size`` by its nearest pixels: row i of h reads row ⌊i·H/h⌋ of H, in whole numbers.

    >>> nearest(torch.arange(5.0).reshape(1, 1, 1, 5), (1, 3)).tolist()
    [[[[0.0, 1.0, 3.0]]]]
    """
    high = (x.shape[-2], x.shape[-1])
    if known_equal(high, size):
        return x
    return _at(x, *(torch.arange(n, device=x.device) * m // n for n, m in zip(size, high, strict=True)))


def _at(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return x.index_select(2, rows).index_select(3, columns)
