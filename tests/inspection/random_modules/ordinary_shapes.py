"""Honest forms: attention, products, views, crops and new maps as models make them."""

import torch
import torch.nn.functional as F
from torch import nn

from .form import Draw, form, honest


@form
def pixel_shuffles(d: Draw):
    r = d.pick(2, 4)
    first = d.pick(True, False)

    def forward(m, x):
        return (
            F.pixel_shuffle(F.pixel_unshuffle(x, r), r)
            if first
            else F.pixel_unshuffle(F.pixel_shuffle(m.c(x), r), r)[:, :4]
        )

    return honest(forward, c=nn.Conv2d(4, 4 * r * r, 1))


@form
def attention_over_pixels(d: Draw):
    written = d.pick(True, False)

    def forward(m, x):
        n, c, h, w = x.shape
        q = x.flatten(2).transpose(1, 2)
        if written:
            y = (q @ q.transpose(-2, -1) * c**-0.5).softmax(-1) @ q
        else:
            y = F.scaled_dot_product_attention(q, q, q)
        return y.transpose(1, 2).reshape(n, c, h, w)

    return honest(forward, quadratic=True)


@form
def attention_over_an_axis(d: Draw):
    axis = d.axis

    def forward(m, x):
        q = x.mean(5 - axis).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, q, q).transpose(1, 2)
        return x + y.unsqueeze(5 - axis)

    return honest(forward)


@form
def attention_over_channels(d: Draw):
    def forward(m, x):
        n, c, h, w = x.shape
        q = x.view(n, c, -1)
        return torch.bmm(torch.bmm(q, q.transpose(1, 2)).softmax(-1), q).view(n, c, h, w)

    return honest(forward)


@form
def einsum_over_channels(d: Draw):
    return honest(
        d.pick(
            lambda m, x: torch.einsum("nchw,dc->ndhw", x, m.weight),
            lambda m, x: torch.einsum("nchw,nchw->nchw", x, x),
            lambda m, x: torch.einsum("nchw,nc->nchw", x, x.mean((2, 3))),
            lambda m, x: torch.einsum("n c h w, n d h w -> n d h w", x, x),
        ),
        weight=torch.randn(4, 4),
    )


@form
def windows(d: Draw):
    k = d.pick(2, 4, 7)

    def forward(m, x):
        n, c, h, w = x.shape
        y = F.pad(x, (0, -w % k, 0, -h % k))
        high, wide = y.shape[2] // k, y.shape[3] // k
        parts = y.view(n, c, high, k, wide, k).permute(0, 2, 4, 3, 5, 1).reshape(-1, k * k, c)
        parts = parts.view(n, high, wide, k, k, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, high * k, wide * k)
        return parts[:, :, :h, :w]

    return honest(forward)


@form
def unfolded_and_folded(d: Draw):
    k = d.pick(3, 5)
    return honest(
        d.pick(
            lambda m, x: F.fold(F.unfold(x, k, padding=k // 2), x.shape[-2:], k, padding=k // 2),
            lambda m, x: F.unfold(x, 1).view(x.shape),
            lambda m, x: F.unfold(x, k, padding=k // 2)[:, :4].view(*x.shape[:2], *x.shape[2:]),
        )
    )


@form
def cropped_by_slices(d: Draw):
    t, k = d.t, d.pick(1, 2, 3)
    return honest(
        d.pick(
            lambda m, x: x[:, :, :t],
            lambda m, x: x[..., -t:],
            lambda m, x: F.pad(x[:, :, k:-k, k:-k], (k, k, k, k)),
            lambda m, x: torch.cat([x[:, :, ::2], x[:, :, 1::2]], 2),
            lambda m, x: x[:, :, ::k],
            lambda m, x: x.narrow(2, 0, t),
            lambda m, x: x[:, :, x.shape[2] // 4 : x.shape[2] - x.shape[2] // 4],
            lambda m, x: torch.roll(x, (k, -k), (2, 3)),
            lambda m, x: x.flip(2, 3),
        ),
        thresholds=(t,),
    )


@form
def split_and_joined(d: Draw):
    axis, k = d.axis, d.pick(2, 3)
    return honest(
        d.pick(
            lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1),
            lambda m, x: torch.cat(x.split([1, 3], 1), 1),
            lambda m, x: torch.cat(
                [
                    x.narrow(axis, 0, x.shape[axis] // k),
                    x.narrow(axis, x.shape[axis] // k, x.shape[axis] - x.shape[axis] // k),
                ],
                axis,
            ),
            lambda m, x: torch.stack(x.unbind(1), 1),
        )
    )


@form
def reshaped_by_the_rest(d: Draw):
    k = d.pick(2, 3, 4)
    return honest(
        d.pick(
            lambda m, x: x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3]).reshape(x.shape),
            lambda m, x: x.view(x.shape[0], -1, k, x.shape[3]).reshape(x.shape),
            lambda m, x: x.reshape(x.shape[0], x.shape[1], x.shape[2] // k, k, x.shape[3]).mean(3),
            lambda m, x: x.unflatten(2, (-1, k)).flatten(2, 3),
            lambda m, x: x.reshape(-1, x.shape[3]).view(*x.shape),
        )
    )


@form
def grid_sampling(d: Draw):
    def forward(m, x):
        n, _, h, w = x.shape
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        return F.grid_sample(x, torch.stack([xs, ys], -1).expand(n, h, w, 2), align_corners=True)

    return honest(forward)


@form
def coordinates_joined(d: Draw):
    def forward(m, x):
        n, _, h, w = x.shape
        rows = torch.arange(h).view(1, 1, h, 1).expand(n, 1, h, w) / max(8, 1)
        return m.mix(torch.cat([x, rows.to(x.dtype), torch.ones(n, 1, h, w)], 1))

    return honest(forward, mix=nn.Conv2d(6, 4, 1))


@form
def in_place_arithmetic(d: Draw):
    def forward(m, x):
        y = x.clone()
        y += 1
        y.relu_().mul_(2)
        y[:, :, 0] = 0
        y.add_(x)
        y.copy_(x)
        return y.sub_(m.bias)

    return honest(forward, bias=torch.zeros(1, 4, 1, 1))


@form
def zero_map_of_the_size(d: Draw):
    return honest(
        d.pick(
            lambda m, x: x + torch.zeros(1, 1, *x.shape[2:]),
            lambda m, x: x + x.new_zeros(x.shape[0], 1, x.shape[2], 1),
            lambda m, x: torch.where(torch.ones_like(x) > 0, x, torch.full(x.shape, 2.0)),
            lambda m, x: x.new_full((1, 4, x.size(2), x.size(3)), 0.0) + x,
            lambda m, x: torch.zeros(x.shape).add_(x),
        )
    )
