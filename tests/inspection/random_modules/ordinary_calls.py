"""Honest forms: norms of one map, heads of attention, coordinates, and the calls that models make of them."""

import torch
import torch.nn.functional as F
from torch import nn

from .form import Draw, form, honest


@form
def norms_of_one_map(d: Draw):
    norm = d.pick(nn.InstanceNorm2d(4), nn.GroupNorm(4, 4), nn.InstanceNorm2d(4, affine=True))
    down = d.pick(nn.Identity(), nn.Conv2d(4, 4, 3, 2, 1), nn.AvgPool2d((3, 1)), nn.Conv2d(4, 4, 5, 7, 2))
    return honest(
        d.pick(
            lambda m, x: F.interpolate(m.norm(m.down(x)), x.shape[2:]),
            lambda m, x: m.norm(x + m.norm(x)),
            lambda m, x: m.norm(F.pad(x, (0, 1, 1, 0)))[..., 1:, :-1],
            lambda m, x: x + m.norm(x.mean(3, keepdim=True)),
        ),
        norm=norm,
        down=down,
    )


@form
def heads_of_attention(d: Draw):
    own, weights, axis = d.pick(True, False), d.pick(True, False), d.axis

    def forward(m, x):
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        keys = tokens if own else F.avg_pool2d(x, 2).flatten(2).transpose(1, 2)
        tokens = m.norm(tokens + m.attention(tokens, keys, keys, need_weights=weights)[0])
        return tokens.transpose(1, 2).reshape(n, c, h, w)

    def along(m, x):
        rows = x.movedim((axis, 1), (1, 3))
        n, long, wide, c = rows.shape
        rows = rows.transpose(1, 2).reshape(n * wide, long, c)
        rows = m.attention(rows, rows, rows, need_weights=weights)[0].view(n, wide, long, c).transpose(1, 2)
        return x + rows.movedim((1, 3), (axis, 1))

    layers = {"attention": nn.MultiheadAttention(4, 2, batch_first=True), "norm": nn.LayerNorm(4)}
    return honest(d.pick(forward, along), quadratic=True, **layers)


@form
def coordinates(d: Draw):
    indexing = d.pick("ij", "xy")
    place = d.pick(
        lambda n: torch.linspace(-1, 1, n),
        lambda n: torch.arange(n) / n,
        lambda n: torch.arange(n).float() * (2 / 8) - 1,
        lambda n: torch.linspace(0, n - 1, n) / n,
        lambda n: torch.arange(0, n, 1, dtype=torch.float32).div(n),
        lambda n: torch.arange(n - 1, 2 * n - 1).clamp(max=n).float(),
    )

    def forward(m, x):
        n, _, h, w = x.shape
        first, second = (h, w) if indexing == "ij" else (w, h)
        both = torch.stack(torch.meshgrid(place(first), place(second), indexing=indexing))
        return m.mix(torch.cat([x, both.tile(n, 1, 1, 1)], 1))

    return honest(forward, mix=nn.Conv2d(6, 4, 1))


@form
def waves_of_positions(d: Draw):
    axis = d.axis

    def forward(m, x):
        waves = torch.arange(x.shape[axis])[:, None] * m.rates
        waves = torch.stack([waves.sin(), waves.cos()], -1).flatten(1)
        return x + waves.t().unsqueeze(5 - axis - 1)[None]

    return honest(forward, rates=torch.tensor([1.0, 0.01]))


@form
def rows_repeated(d: Draw):
    k, axis = d.pick(2, 3), d.axis
    return honest(
        d.pick(
            lambda m, x: x.repeat_interleave(k, axis),
            lambda m, x: F.max_pool2d(x, k).repeat_interleave(k, 2).repeat_interleave(k, 3),
            lambda m, x: torch.tile(x, (1, k)),
            lambda m, x: x[:, :, :1].broadcast_to(x.shape) + x,
            lambda m, x: x[..., :1].tile(x.shape[3]),
            lambda m, x: torch.repeat_interleave(x[:, :, :, :1], x.shape[3], 3),
        )
    )


@form
def halves_and_chunks(d: Draw):
    axis, k = d.axis, d.pick(2, 3, 4)

    def mirrored(m, x):
        return torch.cat(x.chunk(k, axis)[::-1], axis)

    def in_two(m, x):
        half = x.shape[axis] // 2
        one, two = x.split([half, x.shape[axis] - half], axis)
        return torch.cat([two, one], axis)

    return honest(
        d.pick(
            mirrored,
            in_two,
            lambda m, x: F.glu(m.wide(x), 1),
            lambda m, x: F.glu(x, axis),
            lambda m, x: F.glu(x.repeat_interleave(2, axis), axis),
            lambda m, x: sum(x.chunk(2, axis)),
        ),
        wide=nn.Conv2d(4, 8, 1),
    )


@form
def dimensions_moved(d: Draw):
    axis = d.axis
    return honest(
        d.pick(
            lambda m, x: m.norm(x.movedim(1, -1)).moveaxis(-1, 1),
            lambda m, x: x.rot90(1, (2, 3)).rot90(3, (2, 3)),
            lambda m, x: x.rot90(2, (2, 3)) + x,
            lambda m, x: torch.vstack([x, x])[:1] + torch.hstack([x, x])[:, :4],
            lambda m, x: torch.dstack([x, x[:, :, 1:]])[:, :, 1:],
            lambda m, x: x * F.cosine_similarity(x, x.mean(axis, keepdim=True), dim=1)[:, None],
            lambda m, x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=1e-6),
            lambda m, x: x * F.gumbel_softmax(x, dim=1),
        ),
        norm=nn.LayerNorm(4),
    )


@form
def channels_permuted(d: Draw):
    places = torch.tensor([2, 0, 3, 1])
    return honest(
        d.pick(
            lambda m, x: x[:, [3, 2, 1, 0]],
            lambda m, x: x[:, m.places],
            lambda m, x: x.index_select(1, m.places),
            lambda m, x: torch.index_select(x, 1, m.places.to(x.device)),
            lambda m, x: x[:, torch.arange(3, -1, -1)],
        ),
        places=places,
    )


@form
def products_added(d: Draw):
    def scores(m, x):
        n, c, h, w = x.shape
        q = x.flatten(2)
        each = torch.baddbmm(x.new_zeros(1, 1, 1), q.transpose(1, 2), q, alpha=0.5).softmax(-1)
        return torch.bmm(q, each).view(n, c, h, w)

    return honest(
        d.pick(
            scores,
            lambda m, x: torch.addmm(m.bias, x[0].flatten(1).t(), m.square).t().reshape(x.shape),
            lambda m, x: torch.baddbmm(x[0], x[0], m.square[:1, :1] * torch.eye(x.shape[3]).expand(4, -1, -1))[None],
        ),
        bias=torch.zeros(4),
        square=torch.rand(4, 4),
        quadratic=True,
    )


@form
def sequences_convolved(d: Draw):
    k, s, p = d.pick((3, 1, 1), (1, 1, 0), (5, 1, 2), (3, 2, 1), (2, 2, 0))
    conv, up = nn.Conv1d(4, 4, k, s, p), nn.ConvTranspose1d(4, 4, k, s, p)
    return honest(
        d.pick(
            lambda m, x: x * F.conv1d(x.mean((2, 3))[:, None], m.few, padding=1)[:, 0, :, None, None].sigmoid(),
            lambda m, x: m.same(x.flatten(2)).view(x.shape),
            lambda m, x: m.up(m.conv(x.mean(3))).unsqueeze(3) + x,
            lambda m, x: F.interpolate(m.conv(x.mean(2))[:, :, None], x.shape[2:]),
        ),
        conv=conv,
        up=up,
        same=nn.Conv1d(4, 4, 3, padding=1),
        few=torch.rand(1, 1, 3),
    )


@form
def numbers_from_sizes(d: Draw):
    axis = d.axis
    return honest(
        d.pick(
            lambda m, x: x / x.shape[axis],
            lambda m, x: x * (x.shape[2] * x.shape[3]) + x.shape[axis],
            lambda m, x: x.clamp(-x.shape[axis], x.shape[axis]),
            lambda m, x: torch.where(x > x.shape[axis], x, x.shape[axis] - x),
            lambda m, x: x.new_full((1, 4, x.shape[2], 1), x.shape[axis]) + x,
            lambda m, x: x.sum(axis, keepdim=True).div(x.shape[axis]) + x,
            lambda m, x: x.masked_fill(x < x.shape[axis], x.shape[axis]),
        )
    )


@form
def affine_maps(d: Draw):
    def forward(m, x):
        grid = F.affine_grid(m.theta.expand(x.shape[0], 2, 3), x.shape, align_corners=False)
        return x + grid.movedim(-1, 1).mean(1, keepdim=True)

    return honest(forward, theta=torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]))
