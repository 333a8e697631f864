"""UPLiFT against its equations, written out pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from segup.upsamplers import Uplift

NEAR = [(-2, -2), (-2, 0), (-2, 2), (-1, -1), (-1, 0), (-1, 1), (0, -2), (0, -1), (0, 0), (0, 1), (0, 2)]
NEAR += [(-row, -column) for row, column in reversed(NEAR[:6])]


def normed(conv, norm, x):
    y = F.conv2d(x, conv.weight, padding=1)
    return F.relu(F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias))


def plus(y, x):
    y = y.clone()
    shared = min(y.shape[1], x.shape[1])
    y[:, :shared] += x[:, :shared]
    return y


def doubled(double, x):
    one, norm, _, two, other, _, last = double.layers
    return plus(F.conv2d(normed(two, other, normed(one, norm, x)), last.weight, last.bias), x)


def read(x, size):
    """Row i of h reads row ⌊i·H/h⌋."""
    rows, columns = (torch.arange(n) * m // n for n, m in zip(size, x.shape[-2:], strict=True))
    return x[..., rows, :][..., columns]


def cells(low, high):
    return [(2 * i + 1) * low // (2 * high) for i in range(high)]


def textbook(up, x, image, sizes):
    maps = [image]
    for conv, norm, _, last in up.encoder.blocks:
        maps.append(plus(F.conv2d(normed(conv, norm, maps[-1]), last.weight, last.bias), maps[-1]))
    fine, coarse = (read(m, sizes[-1]) for m in maps[-2:])
    x = up.project(x)
    for rows, columns in sizes:
        h, w = x.shape[-2:]
        d = doubled(up.of_map, torch.cat((x, read(coarse, (h, w))), 1))
        d = up.transposed(d) + F.interpolate(d, scale_factor=2, mode="bilinear", align_corners=True)
        d = d[..., cells(2 * h, rows), :][..., cells(2 * w, columns)]
        z = doubled(up.of_result, torch.cat((d, read(fine, (rows, columns))), 1))
        a = (F.conv2d(z, up.attender.weight, up.attender.bias) + z[:, :17]).softmax(1)
        y = x.new_zeros(*x.shape[:2], rows, columns)
        for i, row in enumerate(cells(h, rows)):
            for j, column in enumerate(cells(w, columns)):
                for n, (down, across) in enumerate(NEAR):
                    place = (..., min(max(row + down, 0), h - 1), min(max(column + across, 0), w - 1))
                    y[..., i, j] += a[:, n, i, j, None] * x[place]
        x = y
    return x


def drawn(*arguments, **options):
    torch.manual_seed(0)
    up = Uplift(*arguments, **options).eval()
    for p in up.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return up.double()


@pytest.mark.parametrize(
    ("low", "scale", "sizes"),
    [
        ((3, 4), 2, [(6, 8)]),
        ((3, 2), 4, [(6, 4), (12, 8)]),
        ((3, 2), 3, [(6, 4), (9, 6)]),
        ((4, 5), 2, [(8, 10), (13, 17)]),
        ((2, 6), 2, [(4, 7), (8, 7), (9, 7)]),
        ((1, 1), 2, [(2, 2), (3, 3)]),
    ],
)
@pytest.mark.parametrize("channels", [(4, 4), (20, 6)])
def test_it_is_what_the_paper_says_at_powers_of_two_and_other_ratios(low, scale, sizes, channels):
    up = drawn(*channels, scale, fit="strict")
    x, image = torch.randn(2, channels[0], *low).double(), torch.randn(2, 3, 31, 19).double()
    expected = textbook(up, x, image, sizes)
    torch.testing.assert_close(up(x, sizes[-1], image=image), expected, atol=1e-11, rtol=1e-11)


def test_parameters_and_multiply_accumulates_are_those_of_the_formulas():
    for channels in (8, 384):
        up = Uplift(channels, channels, variant="paper")
        assert sum(p.numel() for p in up.parameters()) == 568_337 + 576 * channels
        assert sum(p.numel() for p in up.attender.parameters()) == 1105
        assert sum(p.numel() for p in Uplift(channels, channels).parameters()) == 30_977 + 216 * channels
    up, wide = Uplift(8, 4, 4).eval(), Uplift(8, 8, variant="paper").eval()
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 8, 5, 4), image=torch.zeros(1, 3, 20, 16))
    low, high = 9 * 24 * (4 + 16) + 14 * 24**2, 9 * 24 * (24 + 16) + 10 * 24**2 + 17 * 24 + 17 * 4
    assert counter.get_total_flops() == 2 * (320 * 4248 + 20 * 32 + (20 + 80) * low + (80 + 320) * high)
    with FlopCounterMode(display=False) as counter:
        wide.encoder(torch.zeros(1, 3, 4, 4))
    assert counter.get_total_flops() == 2 * 16 * 282_800


def test_all_steps_share_their_weights_and_stay_convex():
    counts = {sum(p.numel() for p in Uplift(4, 4, scale).parameters()) for scale in (2, 3, 4, 16)}
    assert len(counts) == 1
    up = drawn(4, 4, 16)
    x, image = torch.randn(1, 4, 2, 3).double(), torch.randn(1, 3, 32, 48).double()
    y = up(x, image=image)
    assert up.convex
    assert (y >= x.amin((2, 3), keepdim=True) - 1e-12).all()
    assert (y <= x.amax((2, 3), keepdim=True) + 1e-12).all()
    assert (Uplift(4, 4).label(), Uplift(4, 6).label()) == ("uplift ×2", "1×1, uplift ×2")
    assert not Uplift(4, 6).convex


@pytest.mark.parametrize(("steps", "reach"), [(1, 2), (2, 3), (3, 3.5), (4, 3.75)])
def test_one_cell_reaches_as_far_as_the_steps_say(steps, reach):
    """The values alone: one weight of each step is 1, that of the cell farthest to the left."""
    up = drawn(1, 1, 2**steps)
    up.weights = lambda z: torch.eye(17)[6].to(z)[:, None, None].expand(1, 17, *z.shape[-2:])
    x = torch.zeros(1, 1, 9, 9).double()
    x[..., 4, 0] = 1
    y = up(x, image=torch.zeros(1, 3, 9 * 2**steps, 9 * 2**steps).double())
    assert int((y[0, 0, 4 * 2**steps] != 0).sum()) == int((1 + reach) * 2**steps)
