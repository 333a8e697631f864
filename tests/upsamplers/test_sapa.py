import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from segup.upsamplers import Sapa
from segup.upsamplers.sapa import ChannelNorm


def textbook(up, x, skip):
    """SAPA's equations pixel by pixel, for a skip on the grid: the slow form that cannot be wrong."""
    s, k = up.scale, up.kernel_size
    norm = lambda m, n: F.layer_norm(m.movedim(1, -1), m.shape[1:2], n.weight, n.bias, n.eps).movedim(-1, 1)  # noqa: E731
    query = F.conv2d(norm(skip, up.norm_skip), up.query.weight, up.query.bias)
    key = F.conv2d(norm(x, up.norm_x), up.key.weight, up.key.bias)
    keys, values = F.pad(key, [k // 2] * 4), F.pad(x, [k // 2] * 4)
    y = x.new_zeros(*x.shape[:2], *skip.shape[-2:])
    for i in range(skip.shape[-2]):
        for j in range(skip.shape[-1]):
            near = (..., slice(i // s, i // s + k), slice(j // s, j // s + k))
            alike = (query[..., i, j, None, None] * keys[near]).sum(1).flatten(1).softmax(1)
            y[..., i, j] = (values[near].flatten(2) * alike[:, None]).sum(-1)
    return up.project(y)


@pytest.mark.parametrize(("scale", "kernel_size"), [(2, 5), (3, 3), (4, 5)])
@pytest.mark.parametrize(("inside", "outside", "guide"), [(6, 6, 6), (6, 4, 5)])
def test_it_is_what_the_paper_says(scale, kernel_size, inside, outside, guide):
    torch.manual_seed(0)
    up = Sapa(inside, outside, scale, skip_channels=guide, kernel_size=kernel_size, compressed_channels=7).double()
    for p in up.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(2, inside, 4, 3, dtype=torch.float64)
    skip = torch.randn(2, guide, 4 * scale, 3 * scale, dtype=torch.float64)
    assert torch.allclose(up(x, skip=skip), textbook(up, x, skip), atol=1e-12)


def test_parameters_are_those_of_the_formula():
    count = lambda up: sum(p.numel() for p in up.parameters())  # noqa: E731
    assert count(Sapa(256, 256, skip_channels=256)) == 2 * (256 * 32 + 32) + 2 * 2 * 256 == 17_472
    assert count(Sapa(16, 8, skip_channels=4)) == 34 * 20 + 64 + (16 * 8 + 8)
    assert count(Sapa(6, 6, skip_channels=5, compressed_channels=3)) == 5 * 11 + 6


def test_the_norm_is_over_the_channels_of_each_pixel():
    torch.manual_seed(0)
    norm = ChannelNorm(6)
    x = 3 + 5 * torch.randn(2, 6, 4, 5)
    y = norm(x)
    assert torch.allclose(y.mean(1), torch.zeros(2, 4, 5), atol=1e-5)
    assert torch.allclose(y.var(1, unbiased=False), torch.ones(2, 4, 5), atol=1e-3)


def test_each_pixel_takes_the_value_of_the_neighbour_it_resembles():
    """A boundary between two regions is drawn where the skip has it, not where the coarse map has its cells."""
    up = Sapa(2, 2, skip_channels=2).double()
    for conv in (up.query, up.key):
        torch.nn.init.dirac_(conv.weight)
        conv.weight.data *= 30
    x, skip = torch.zeros(1, 2, 8, 8).double(), torch.zeros(1, 2, 16, 16).double()
    x[:, 0, :, :4], x[:, 1, :, 4:] = 1, 1
    skip[:, 0, :, :9], skip[:, 1, :, 9:] = 1, 1  # the cells end at column 8
    inner = up(x, skip=skip)[..., 4:-4, 4:-4]
    assert torch.allclose(inner, skip[..., 4:-4, 4:-4], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_constant_shows_no_checkerboard(scale):
    torch.manual_seed(0)
    up = Sapa(6, 4, scale, skip_channels=5).double()
    x = torch.randn(1, 6, 1, 1).double().expand(1, 6, 12, 12)
    skip = torch.randn(1, 5, 1, 1).double().expand(1, 5, 12 * scale, 12 * scale)
    inner = up(x, skip=skip)[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale]
    assert torch.allclose(inner, up.project(x)[..., :1, :1].expand_as(inner), atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_impulse_stays_centred_where_all_kernels_are_alike(scale):
    up = Sapa(1, 1, scale, skip_channels=1).double()
    torch.nn.init.zeros_(up.query.weight)
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[..., 4, 4] = 1
    y = up(x, skip=torch.zeros(1, 1, 9 * scale, 9 * scale, dtype=torch.float64))[0, 0]
    places = (torch.arange(9.0 * scale).double() + 0.5) / scale - 0.5
    assert torch.allclose((y.sum(1) * places).sum() / y.sum(), torch.tensor(4.0).double())
    assert torch.allclose((y.sum(0) * places).sum() / y.sum(), torch.tensor(4.0).double())


@pytest.mark.parametrize("scale", [2, 3])
def test_macs_are_those_of_the_formula(scale):
    x, skip = torch.zeros(1, 16, 5, 4), torch.zeros(1, 6, 5 * scale, 4 * scale)
    with FlopCounterMode(display=False) as counter:
        Sapa(16, 8, scale, skip_channels=6, compressed_channels=7)(x, skip=skip)
    convolutions = scale**2 * 7 * 6 + 7 * 16
    similar, sums, projection = scale**2 * 25 * 7, scale**2 * 25 * 16, scale**2 * 16 * 8
    assert counter.get_total_flops() == 2 * 20 * (convolutions + similar + sums + projection)
