"""Honest forms: steps down and up, skips, pools and resizes as models have them."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from .form import CHANNELS, Draw, form, honest


@form
def resized_and_back(d: Draw):
    mode, factor = d.pick("bilinear", "nearest", "bicubic", "area"), d.pick(2, 0.5, 3)

    def forward(m, x):
        return F.interpolate(F.interpolate(x, scale_factor=factor), size=x.shape[-2:], mode=mode)

    return honest(forward)


@form
def down_and_up(d: Draw):
    k, s, p = d.pick((2, 2, 0), (3, 2, 1), (4, 4, 0), (7, 2, 3), (5, 3, 1))
    up = d.pick(nn.ConvTranspose2d(4, 4, s, s), nn.Upsample(scale_factor=s), nn.ConvTranspose2d(4, 4, k, s, p))
    return honest(lambda m, x: m.up(m.down(x)), down=nn.Conv2d(4, 4, k, s, p), up=up)


@form
def down_and_up_with_dilation(d: Draw):
    k, rate = d.pick(2, 3), d.pick(2, 3, 4)
    padding = d.pick(rate, rate * (k - 1) // 2, "same")
    return honest(lambda m, x: m.conv(x), conv=nn.Conv2d(4, 4, k, padding=padding, dilation=rate))


@form
def pooled_and_unpooled(d: Draw):
    pool = d.pick(
        nn.MaxPool2d(2), nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.LPPool2d(2, 2), nn.AvgPool2d(3, 1, 1),
    )  # fmt: skip
    factor = d.pick(2, (2, 2), 1)
    return honest(lambda m, x: F.interpolate(m.pool(x), scale_factor=factor), pool=pool)


@form
def max_unpooled(d: Draw):
    def forward(m, x):
        y, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(y, places, 2, output_size=x.shape[-2:])

    return honest(forward)


@form
def padded_to_a_multiple(d: Draw):
    k = d.pick(2, 4, 8, 32)
    padding = d.pick(
        lambda n: -n % k, lambda n: (k - n % k) % k, lambda n: (n + k - 1) // k * k - n, lambda n: -(-n // k) * k - n
    )
    mode = d.pick("constant", "replicate")

    def forward(m, x):
        h, w = x.shape[-2:]
        y = F.pad(x, (0, padding(w), 0, padding(h)), mode=mode)
        return F.interpolate(F.avg_pool2d(y, k), scale_factor=k)[..., :h, :w]

    return honest(forward)


@form
def skip_padded_or_cropped(d: Draw):
    crop = d.pick(True, False)

    def forward(m, x):
        y = m.up(m.down(x))
        dy, dx = x.size(2) - y.size(2), x.size(3) - y.size(3)
        if crop:
            return m.mix(torch.cat([x[:, :, : y.size(2), : y.size(3)], y[:, :, : x.size(2), : x.size(3)]], 1))
        return m.mix(torch.cat([x, F.pad(y, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])], 1))

    return honest(forward, down=nn.MaxPool2d(2), up=nn.ConvTranspose2d(4, 4, 2, 2), mix=nn.Conv2d(8, 4, 1))


@form
def skip_that_must_fit(d: Draw):
    join = d.pick(
        lambda x, y: x + y, lambda x, y: torch.cat([x, y], 1)[:, ::2], lambda x, y: torch.stack([x, y]).sum(0)
    )
    down, up = d.pick(
        (nn.Conv2d(4, 4, 3, 2, 1), nn.ConvTranspose2d(4, 4, 4, 2, 1)), (nn.AvgPool2d(2), nn.Upsample(scale_factor=2))
    )
    return honest(lambda m, x: join(x, m.up(m.down(x))), down=down, up=up)


@form
def output_size_asked_of_a_deconvolution(d: Draw):
    def forward(m, x):
        return m.up(m.down(x), output_size=x.shape[-2:])

    return honest(forward, down=nn.Conv2d(4, 4, 3, 2, 1), up=nn.ConvTranspose2d(4, 4, 3, 2, 1))


@form
def gates(d: Draw):
    gate = d.pick(
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.amax((-2, -1), True),
        lambda x: F.avg_pool2d(x, x.shape[-2:]),
        lambda x: x.flatten(2).mean(-1)[..., None, None],
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.std(3, keepdim=True, unbiased=False),
    )
    return honest(lambda m, x: x * gate(x).sigmoid())


@form
def pyramid_pooling(d: Draw):
    bins = d.pick((1, 2), (1, 3, 6), (2,))

    def forward(m, x):
        pooled = [F.interpolate(F.adaptive_avg_pool2d(x, b), x.shape[2:], mode="bilinear") for b in bins]
        return sum(pooled, x)

    return honest(forward)


@form
def channels_last_layers(d: Draw):
    return honest(
        lambda m, x: x + m.scale * m.linear(m.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2),
        norm=nn.LayerNorm(4),
        linear=nn.Linear(4, 4),
        scale=nn.Parameter(torch.ones(1)),
    )


@form
def resized_to_computed_size(d: Draw):
    k = d.pick(2, 3, 8)
    resize = d.pick(F.interpolate, F.adaptive_avg_pool2d, F.adaptive_max_pool2d)
    computed = d.pick(
        lambda n: n // k * k, lambda n: -(-n // k) * k, lambda n: n + k, lambda n: n * k // k, lambda n: n - n % k
    )
    return honest(lambda m, x: resize(x, (computed(x.shape[2]), computed(x.shape[3]))))


@form
def scaled_by_a_float(d: Draw):
    factor = d.pick(1.5, 0.5, 0.25, 2.0, 1.3, 0.7, 1 / 3, (1.5, 1), 120 / 7)
    known = d.pick(None, True)
    return honest(lambda m, x: F.interpolate(x, scale_factor=factor, recompute_scale_factor=known))


@form
def reflected(d: Draw):
    p, mode = d.pick(1, 3, 7), d.pick("reflect", "replicate", "circular", "constant")
    return honest(lambda m, x: F.max_pool2d(F.pad(x, (p, p, p, p), mode=mode), 2 * p + 1, 1))


@form
def positions_interpolated(d: Draw):
    side = d.pick(4, 14)

    def forward(m, x):
        return x + F.interpolate(m.positions, size=x.shape[-2:], mode=d_mode)

    d_mode = d.pick("bilinear", "bicubic")
    return honest(forward, positions=nn.Parameter(torch.zeros(1, CHANNELS, side, side)))


@form
def nested_parts(d: Draw):
    class Block(nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.GELU()
            self.inner = Block(depth - 1) if depth else nn.Identity()

        def forward(self, x):
            return x + self.inner(self.act(self.conv(x)))

    return honest(lambda m, x: m.block(x), block=Block(d.randint(0, 3)))


@form
def parts_in_a_list(d: Draw):
    def forward(m, x):
        maps = [part(x) for part in m.parts]
        return functools.reduce(torch.add, maps) / math.sqrt(len(maps))

    return honest(forward, parts=nn.ModuleList(nn.Conv2d(4, 4, k, padding=k // 2) for k in (1, 3, 5)))


@form
def shifted_by_convolutions(d: Draw):
    k, s = d.pick(2, 4), d.pick(1, 2)
    return honest(lambda m, x: m.up(m.down(x)), down=nn.Conv2d(4, 4, k, s), up=nn.ConvTranspose2d(4, 4, k, s))
