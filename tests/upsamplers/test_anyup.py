"""AnyUp against its equations, written out pixel by pixel."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ShapeError
from segup.upsamplers import AnyUp, create_upsampler
from segup.upsamplers.anyup import attend_to_all, near


def reflected(x, edge):
    """A side of one pixel, which torch refuses, repeats it."""
    if not edge:
        return x
    for dim in (-2, -1):
        place = [min(abs(i), abs(2 * (x.shape[dim] - 1) - i)) for i in range(-edge, x.shape[dim] + edge)]
        x = x.index_select(dim, torch.tensor(place).clamp(max=x.shape[dim] - 1))
    return x


def mixed(x, layers):
    """1×1 convolutions with residual blocks of GroupNorm, SiLU, 1×1, twice."""
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d):
            x = F.conv2d(reflected(x, layer.kernel_size[0] // 2), layer.weight)
        else:
            y = x
            for norm, conv in ((layer.layers[0], layer.layers[2]), (layer.layers[3], layer.layers[5])):
                y = F.conv2d(F.silu(F.group_norm(y, 8, norm.weight, norm.bias)), conv.weight)
            x = x + y
    return x


def placed(x, frequency):
    (height, width), half = x.shape[-2:], x.shape[1] // 2
    y = torch.empty_like(x)
    for i in range(height):
        for j in range(width):
            angle = frequency[0] * (i / max(height - 1, 1)) + frequency[1] * (j / max(width - 1, 1))
            turned = torch.cat((-x[:, half:, i, j], x[:, :half, i, j]), 1)
            y[..., i, j] = x[..., i, j] * angle.cos() + turned * angle.sin()
    return y


def unified(x, basis):
    """Each channel by hand: correlated, divided by the taps that lie inside, softmax over the kernels, mean."""
    x = x / x.square().sum(1, keepdim=True).sqrt()
    taps = F.conv2d(torch.ones_like(x[:1, :1]), torch.ones(1, 1, 5, 5, dtype=x.dtype), padding=2)
    channels = [(F.conv2d(x[:, c : c + 1], basis, padding=2) / taps).softmax(1) for c in range(x.shape[1])]
    return torch.stack(channels).mean(0)


def rms(x, weight):
    return x / (x.square().mean(1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt() * weight[:, None, None]


def textbook(up, x, image, size):
    e = placed(mixed(image, up.encoder.image), up.encoder.place.frequency)
    query = F.adaptive_avg_pool2d(mixed(e, up.encoder.query), size)
    query = F.conv2d(rms(F.conv2d(query, up.smooth.weight, padding=1), up.query[0].weight), up.query[1].weight)
    query = query + up.query[1].bias[:, None, None]
    (h, w), (height, width) = x.shape[-2:], size
    of_map = mixed(unified(x, up.unification.basis.weight), up.of_map)
    x = up.project(x)
    key = mixed(torch.cat((F.adaptive_avg_pool2d(mixed(e, up.encoder.key), (h, w)), of_map), 1), up.join)
    key = F.conv2d(rms(key, up.key[0].weight), up.key[1].weight) + up.key[1].bias[:, None, None]
    y, d = x.new_zeros(*x.shape[:2], height, width), query.shape[1] // 4
    for i in range(height):
        for j in range(width):
            p, q = (i + 0.5) / height, (j + 0.5) / width
            rows = slice(math.floor(h * max(0, p - 0.1) + 1e-9), math.ceil(h * min(1, p + 0.1) - 1e-9))
            columns = slice(math.floor(w * max(0, q - 0.1) + 1e-9), math.ceil(w * min(1, q + 0.1) - 1e-9))
            weights = 0
            for head in range(4):
                own = slice(head * d, (head + 1) * d)
                logits = (query[:, own, i, j, None, None] * key[:, own, rows, columns]).sum(1) / math.sqrt(d)
                weights = weights + logits.flatten(1).softmax(-1) / 4
            y[..., i, j] = (x[..., rows, columns].flatten(2) * weights[:, None]).sum(-1)
    return y


def drawn(*arguments, **options):
    torch.manual_seed(0)
    up = AnyUp(*arguments, **options)
    for p in up.parameters():
        if p.dim() > 1 and p is not up.encoder.place.frequency:
            torch.nn.init.normal_(p, std=0.2)
    return up.double()


@pytest.mark.parametrize(
    ("low", "size"), [((3, 4), (6, 8)), ((11, 12), (22, 19)), ((6, 5), (21, 13)), ((1, 2), (5, 9))]
)
@pytest.mark.parametrize("channels", [(4, 4), (3, 5)])
def test_it_is_what_the_paper_says_at_integer_and_other_ratios(low, size, channels):
    up = drawn(*channels, fit="strict")
    x, image = torch.randn(2, channels[0], *low).double(), torch.randn(2, 3, size[0] + 3, 2 * size[1]).double()
    assert (up(x, size, image=image) - textbook(up, x, image, size)).abs().max() <= 1e-12


def test_one_module_serves_maps_of_any_number_of_channels():
    up = drawn(384, 384)
    image = torch.randn(1, 3, 12, 10).double()
    for channels in (1, 8, 512):
        x = torch.randn(1, channels, 6, 5).double()
        assert (up(x, image=image) - textbook(up, x, image, (12, 10))).abs().max() <= 1e-12
    with pytest.raises(ShapeError, match=r"'anyup' \(scale 2\) takes \(N, 6, h, w\) with h, w ≥ 1, not \(1, 5, 4, 4\)"):
        AnyUp(6, 4)(torch.zeros(1, 5, 4, 4), image=torch.zeros(1, 3, 8, 8))


def test_parameters_and_multiply_accumulates_are_those_of_the_formulas():
    for variant, m, b, count in (("tiny", 32, 1, 43_712), ("paper", 128, 2, 845_056)):
        up = AnyUp(8, 8, variant=variant)
        assert sum(p.numel() for p in up.parameters()) == count == (34 + 31 * m + 10 * b * m + 20 * b) * m
    up = AnyUp(8, 4)
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 8, 5, 12), image=torch.zeros(1, 3, 20, 48))
    pixels = 960 * 8288 + 240 * (10 * 32**2 + 25 * (32 + 4))
    assert counter.get_total_flops() == 2 * (pixels + 60 * (25 * 32 * 8 + 23 * 32**2 + 8 * 4))


def test_windows_are_those_of_the_paper_and_traced_programs_hide_the_rest():
    for low, high in ((1, 7), (10, 35), (16, 224), (37, 100)):
        first, last = near(low, high, torch.device("cpu"))
        for i in range(high):
            p = (2 * i + 1) * 10 - 2 * high, (2 * i + 1) * 10 + 2 * high
            assert (first[i], last[i]) == (
                max(0, low * p[0] // (20 * high)),
                min(low, -(-low * p[1] // (20 * high))) - 1,
            )
    up = drawn(4, 4)
    x, image = torch.randn(1, 4, 13, 21).double(), torch.randn(1, 3, 26, 42).double()
    y = up(x, image=image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segup.upsamplers.anyup.attend", lambda q, k, v, *_, **__: attend_to_all(q, k, v))
        torch.testing.assert_close(up(x, image=image), y, atol=1e-12, rtol=0)


def test_it_is_convex_where_channels_do_not_change():
    assert create_upsampler("anyup", 4, 4).convex
    assert not AnyUp(4, 6).convex
    assert (AnyUp(4, 4).label(), AnyUp(4, 6).label()) == ("anyup ×2", "1×1, anyup ×2")
