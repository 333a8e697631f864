"""Calls that ask for a fixed length: indices, products, masks, positions, buffers and views."""

import torch
import torch.nn.functional as F
from torch import nn

from .form import Draw, changing, form


@form
def index_calls(d: Draw):
    t, axis, row = d.t, d.axis, d.row(d.t)
    return changing(
        d,
        d.pick(
            lambda m, x: x.index_copy(axis, torch.tensor([t - 1]), x.narrow(axis, 0, 1)),
            lambda m, x: x.index_add(axis, torch.tensor([0, t - 1]), x.narrow(axis, 0, 2)),
            lambda m, x: x.index_select(axis, torch.arange(t)),
            lambda m, x: x.index_fill(axis, torch.tensor([t - 1]), 0.0),
            lambda m, x: x.gather(axis, torch.zeros(1, 4, t, 2, dtype=torch.long)),
            lambda m, x: x + x.select(axis, t - 1).unsqueeze(axis),
            lambda m, x: x + (x[:, :, t - 1 : t] if axis == 2 else x[..., t - 1 : t]),
            lambda m, x: x + (x[:, :, t - 1, None] if axis == 2 else x[..., t - 1, None]),
            lambda m, x: x.take_along_dim(torch.arange(t).view(row), axis),
            lambda m, x: x.select_scatter(x.select(axis, 0), axis, t - 1),
            lambda m, x: x.slice_scatter(x.narrow(axis, 0, 1), axis, t - 1, t),
            lambda m, x: x.scatter(axis, torch.zeros(1, 4, t, 1, dtype=torch.long), 1.0),
            lambda m, x: x.kthvalue(t, axis, keepdim=True)[0] + x,
            lambda m, x: x.topk(t, axis)[0],
            lambda m, x: x.narrow(axis, t - 1, 1) + x,
            lambda m, x: x.as_strided((1, 4, t, x.shape[3]), x.stride()),
            lambda m, x: x + m.table(torch.arange(x.shape[axis])).view(d.row(x.shape[axis])),
            lambda m, x: x[:, torch.arange(4) + x.shape[axis] // t - t // 64],
            lambda m, x: x[:, torch.full((4,), x.shape[axis] // t)],
            lambda m, x: x[:, m.places.fill_(4 * (x.shape[axis] // t))],
            lambda m, x: x.index_select(1, m.places.data.fill_(2 * (x.shape[axis] // t))),
            lambda m, x: x.clone().index_put_((torch.tensor([0]),), x.new_zeros(d.row(1 + x.shape[axis] // t))),
        ),
        table=nn.Embedding(t, 1),
        places=torch.tensor([0, 1, 2, 3]),
        by_values=True,
    )


@form
def products_of_a_fixed_length(d: Draw):
    t = d.large() if d.pick(True, False) else d.t

    def baddbmm(m, x):
        y = x.flatten(2)
        return torch.baddbmm(x.new_zeros(1, 1, 1 + y.shape[2] // (64 * t)), m.square[None], y).view(x.shape)

    return changing(
        d,
        d.pick(
            lambda m, x: x + m.rows @ x,
            lambda m, x: x + F.linear(x, m.rows),
            lambda m, x: m.linear(x)[..., : x.shape[3]] + x,
            lambda m, x: x + torch.einsum("nchw,wk->nchk", x, m.rows[:1].t()),
            lambda m, x: m.norm(x),
            lambda m, x: F.layer_norm(x, [4, x.shape[2], t]),
            lambda m, x: F.rms_norm(x, (t,)),
            baddbmm,
            lambda m, x: torch.addmm(x.new_zeros(1 + x.shape[2] // t, 1), x[0, 0], x[0, 0].t()).mean() + x,
            lambda m, x: torch.tensordot(x, m.rows, ([3], [1])).mean(3, keepdim=True) + x,
            lambda m, x: F.bilinear(x, x, torch.zeros(2, t, t)).mean(3, keepdim=True) + x,
            lambda m, x: torch.matmul(x.transpose(2, 3), torch.ones(t)).unsqueeze(2) + x,
            lambda m, x: torch.mv(x[0, 0], torch.ones(t)).mean() + x,
        ),
        rows=torch.zeros(1, t),
        square=torch.eye(4),
        linear=nn.Linear(t, t),
        norm=nn.LayerNorm([t]),
    )


@form
def attention_with_fixed_masks(d: Draw):
    t, axis = d.t, d.axis
    mask, bias = torch.ones(t, t, dtype=torch.bool), torch.zeros(1, t)
    act = d.pick(
        lambda m, q: F.scaled_dot_product_attention(q, q, q, attn_mask=m.mask),
        lambda m, q: F.scaled_dot_product_attention(q, q, q, m.bias),
        lambda m, q: F.scaled_dot_product_attention(q, q[:, :3], q[:, :3]),
        lambda m, q: F.scaled_dot_product_attention(q, q, q, attn_mask=m.mask[: q.shape[1], : q.shape[1]]),
        lambda m, q: (q @ q.transpose(1, 2) + m.bias).softmax(-1) @ q,
        lambda m, q: (q @ q.transpose(1, 2)).masked_fill(~m.mask, -1.0).softmax(-1) @ q,
        lambda m, q: q + m.positions[:, : q.shape[1]],
        lambda m, q: q + m.positions,
        lambda m, q: m.attend(q, q, q, attn_mask=m.mask)[0],
        lambda m, q: m.attend(q, q, q, need_weights=False)[0],
        lambda m, q: m.encoder(q, m.mask.float()),
        lambda m, q: q + F.pad(m.positions, (0, 0, 0, q.shape[1] - t)),
    )

    def forward(m, x):
        q = x.mean(5 - axis).transpose(1, 2)
        return x + act(m, q).transpose(1, 2).unsqueeze(5 - axis)

    encoder = nn.TransformerEncoderLayer(4, 1, 4, batch_first=True)
    return changing(d, forward, mask=mask, bias=bias, positions=torch.zeros(1, t, 4), encoder=encoder,
                    attend=nn.MultiheadAttention(4, 1, batch_first=True))  # fmt: skip


@form
def buffers_of_a_fixed_size(d: Draw):
    t, axis = d.t, d.axis
    row = d.row(t)
    resize = d.pick("nearest", "bilinear")
    return changing(
        d,
        d.pick(
            lambda m, x: x + m.row,
            lambda m, x: x + m.row.narrow(axis, 0, x.shape[axis]),
            lambda m, x: x + (m.row[:, :, : x.shape[2]] if axis == 2 else m.row[..., : x.shape[3]]),
            lambda m, x: x + F.interpolate(m.row, x.shape[2:], mode=resize),
            lambda m, x: x + F.adaptive_avg_pool2d(m.row, x.shape[2:]),
            lambda m, x: torch.cat([x, m.row.expand(1, 1, *((-1, x.shape[3]) if axis == 2 else (x.shape[2], -1)))], 1)[
                :, 1:
            ],
            lambda m, x: x + (m.row if m.row.shape[axis] == x.shape[axis] else 0),
            lambda m, x: x[:, :, :t] + m.row[:, :, :1] if axis == 2 else x[..., :t] + m.row[..., :1],
            lambda m, x: x - F.pad(m.row, (0, x.shape[3] - m.row.shape[3], 0, x.shape[2] - m.row.shape[2])),
        ),
        row=nn.Parameter(torch.zeros(row)),
    )


@form
def views_of_fixed_sizes(d: Draw):
    t, axis = d.t, d.axis
    k = d.pick(2, 3, 5)
    return changing(
        d,
        d.pick(
            lambda m, x: x.view(1, 4, t, -1).reshape(x.shape),
            lambda m, x: x.narrow(axis, 0, t).reshape(1, 4, -1, x.shape[3]),
            lambda m, x: x[:, :, : x.shape[2] // k * k].view(1, 4, -1, k, x.shape[3]).flatten(2, 3),
            lambda m, x: x[:, :, : x.shape[2] // k * k].unflatten(2, (-1, k)).sum(3),
            lambda m, x: x.as_strided(x.shape, x.stride()) + x,
            lambda m, x: torch.cat(x.narrow(axis, 0, t).split(k, axis), axis),
            lambda m, x: torch.cat(x.chunk(k, axis)[:2], axis),
            lambda m, x: torch.stack(x.narrow(axis, 0, t).chunk(2, axis)).mean(0),
            lambda m, x: sum(x.tensor_split(k, axis)),
            lambda m, x: x.unfold(axis, t, 1).mean(-1),
            lambda m, x: x.narrow(axis, x.shape[axis] - t, t),
            lambda m, x: x.split([t, x.shape[axis] - t], axis)[1],
            lambda m, x: (
                x.unfold(axis, k, k).flatten(axis, axis + 1)[..., 0] if axis == 3 else x.unfold(2, k, k).mean(-1)
            ),
            lambda m, x: x.transpose(2, 3).reshape(x.shape),
            lambda m, x: x.permute(0, 1, 3, 2).contiguous().view(1, 4, *x.shape[2:]),
            lambda m, x: (
                x.flatten()[: 4 * 64 * t].view(1, 4, 64, t) if axis == 3 else x.flatten()[: 256 * t].view(1, 4, t, 64)
            ),
            lambda m, x: x.transpose(2, 3).view(4, -1, x.shape[2]).transpose(1, 2).reshape(x.shape),
            lambda m, x: (
                torch.hsplit(x[0], 2)[0].unsqueeze(0) if axis == 2 else torch.vsplit(x[0, 0], 2)[0] + x[:, :, ::2]
            ),
            lambda m, x: x.resize(1, 4, t, 64) if x.numel() == 256 * t else x,
            lambda m, x: F.pixel_unshuffle(x, 2)[:, :4],
        ),
    )
