"""FreqFusion against its equations, written out pixel by pixel; and the skip that it changes."""

import math

import pytest
import torch
import torch.nn.functional as F

from segup.decoders import UNetBlock
from segup.errors import ConfigError, ShapeError
from segup.upsamplers import Deconv, FreqFusion

LOW, HIGH = (torch.tensor(w, dtype=torch.float64) for w in ([0.08, 0.54, 1, 0.54, 0.08], [0.08, 1, 0.08]))


def kernels(logits, window):
    weights = logits.softmax(1) * torch.outer(window, window).flatten()[:, None, None]
    return weights / weights.sum(1, keepdim=True)


def reassembled(x, weights, scale):
    """Each pixel's kernel on its cell's neighbours, which are reflected at the border."""
    size, k = weights.shape[-2:], math.isqrt(weights.shape[1])
    near = F.unfold(F.pad(x, [k // 2] * 4, mode="reflect"), k).reshape(*x.shape[:2], k * k, *x.shape[-2:])
    y = x.new_zeros(*x.shape[:2], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            y[..., i, j] = (near[..., i // scale, j // scale] * weights[:, None, :, i, j]).sum(2)
    return y


def similar(x):
    unit = x / x.square().sum(1, keepdim=True).sqrt()
    maps = []
    for row, column in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        alike = x.new_zeros(x.shape[0], *x.shape[-2:])
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                if 0 <= i + row < x.shape[2] and 0 <= j + column < x.shape[3]:
                    alike[:, i, j] = (unit[..., i, j] * unit[..., i + row, j + column]).sum(1)
        maps.append(alike)
    return torch.cat((x, torch.stack(maps, 1)), 1)


def moved(y, offsets, scale, groups):
    """``offsets`` in low-resolution pixels, (N, 2·groups, H, W): columns of each group, then rows."""
    height, width = y.shape[-2:]
    parts = []
    for g, part in enumerate(y.chunk(groups, 1)):
        across = (torch.arange(width) + 0.5 + scale * offsets[:, g]) * 2 / width - 1
        down = (torch.arange(height)[:, None] + 0.5 + scale * offsets[:, groups + g]) * 2 / height - 1
        grid = torch.stack((across, down), -1)
        parts.append(F.grid_sample(part, grid, padding_mode="border", align_corners=False))
    return torch.cat(parts, 1)


def textbook(up, x, skip):
    """The map and the skip, for a skip of ``scale`` times the size of ``x``."""
    s, of = up.scale, up.offsets
    hr, lr = up.compress_skip(skip), up.compress_x(x)
    g = up.high(hr)
    hr = 2 * hr - reassembled(hr, kernels(g, HIGH), 1)
    low = up.low(hr)
    low = low + reassembled(up.low(lr), kernels(low, LOW), s)
    low_mask = kernels(low, LOW)
    high_mask = kernels(g + reassembled(up.high(lr), low_mask, s), HIGH)
    a, b = similar(of.norm_skip(hr)), similar(of.norm_x(lr))
    moves = of.of_x(b) + F.pixel_unshuffle(of.of_skip(a), s)
    moves = moves * (of.range_of_x(b) + F.pixel_unshuffle(of.range_of_skip(a), s)).sigmoid()
    y = moved(reassembled(x, low_mask, s), F.pixel_shuffle(moves, s), s, up.groups)
    return up.project(y), 2 * skip - reassembled(skip, high_mask, 1)


def drawn(*arguments, **options):
    torch.manual_seed(0)
    up = FreqFusion(*arguments, compressed_channels=16, **options)
    for p in up.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return up.double()


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize(("channels", "skip_channels"), [((8, 8), 8), ((6, 4), 5)])
def test_it_is_what_the_paper_says(scale, channels, skip_channels):
    up = drawn(*channels, scale, skip_channels=skip_channels)
    x = torch.randn(2, channels[0], 4, 5).double()
    skip = torch.randn(2, skip_channels, 4 * scale, 5 * scale).double()
    y, changed = up.with_skip(x, skip=skip)
    expected, sharpened = textbook(up, x, skip)
    assert (y - expected).abs().max() <= 1e-11
    assert (changed - sharpened).abs().max() <= 1e-11
    assert torch.equal(up(x, skip=skip), y)


@pytest.mark.parametrize(("channels", "count"), [(64, 80_114), (128, 88_306), (256, 104_690)])
def test_parameters_are_those_of_the_paper(channels, count):
    up = FreqFusion(channels, channels, skip_channels=channels)
    assert sum(p.numel() for p in up.parameters()) == count
    assert sum(p.numel() for p in up.offsets.parameters()) == 52_176


@pytest.mark.parametrize("size", [(7, 10), (9, 9), (8, 11), (7, 11)])
def test_odd_skips_work_and_keep_their_shape(size):
    up = drawn(4, 4, skip_channels=3)
    x, skip = torch.randn(1, 4, 4, 5).double(), torch.randn(1, 3, *size).double()
    y, changed = up.with_skip(x, size, skip=skip)
    assert (y.shape[-2:], changed.shape) == (size, skip.shape)
    assert up.correction == (size[0] - 8, size[1] - 10)
    constant = torch.full_like(skip, 2.0)
    assert torch.allclose(up.with_skip(x, size, skip=constant)[1], constant)
    with pytest.raises(ShapeError, match="takes a skip"):
        up.with_skip(x, size, skip=skip[..., 1:])


def test_other_operators_leave_the_skip_as_it_is():
    skip = torch.randn(1, 3, 8, 8)
    up, x = Deconv(4, 4), torch.randn(1, 4, 4, 4)
    y, same = up.with_skip(x, (8, 8), skip=skip)
    assert same is skip
    assert torch.equal(y, up(x, (8, 8)))


def test_a_block_joins_the_changed_skip():
    torch.manual_seed(0)
    block = UNetBlock(8, 4, 8, upsampler="freqfusion").eval()
    x, skip = torch.randn(1, 8, 5, 5), torch.randn(1, 4, 9, 10)
    y, changed = block.up.with_skip(x, (9, 10), skip=skip)
    assert torch.equal(block(x, skip), block.convs(torch.cat((y, changed), 1)))


def test_wrong_options_are_refused():
    message = "'freqfusion': GroupNorm's groups=8 must divide compressed_channels=12: 12 mod 8 = 4"
    with pytest.raises(ConfigError, match=message):
        FreqFusion(8, 8, skip_channels=8, compressed_channels=12)
    with pytest.raises(ConfigError, match="'freqfusion' is guided by the skip: it needs skip_channels"):
        FreqFusion(8, 8)
