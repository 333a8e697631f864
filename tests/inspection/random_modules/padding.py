"""Paddings, strides, factors and target sizes computed from sizes, in the ways that people compute them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from .form import Draw, Form, changing, form


@form
def padding_computed_in_floats(d: Draw):
    k, axis = d.pick(2, 4, 8, 32), d.axis
    missing = d.pick(
        lambda n: int(math.ceil(n / k) * k) - n,
        lambda n: int(np.ceil(n / k) * k - n),
        lambda n: (k - (n % k)) % k,
        lambda n: max(math.ceil(n / k) - 1, 0) * k + k - n,
        lambda n: k - n % k if n % k else 0,
        lambda n: round(n / k + 0.5) * k - n if n % k else 0,
        lambda n: int(-(n // -k) * k) - n,
        lambda n: sorted(i for i in range(k) if (n + i) % k == 0)[0],
        lambda n: next(i for i in range(k) if not (n + i) % k),
        lambda n: min(i for i in range(n, n + k) if i % k == 0) - n,
        lambda n: divmod(n, k)[1] and k - divmod(n, k)[1],
        lambda n: 2 ** math.ceil(math.log2(n)) - n,
        lambda n: (1 << (n - 1).bit_length()) - n,
        lambda n: int(torch.ceil(torch.tensor(n / k))) * k - n,
        lambda n: (n + k - 1 & ~(k - 1)) - n,
    )

    def forward(m, x):
        pad = missing(x.shape[axis])
        y = F.pad(x, (0, 0, 0, pad) if axis == 2 else (0, pad, 0, 0))
        y = F.avg_pool2d(y, (k, 1) if axis == 2 else (1, k))
        y = F.interpolate(y, scale_factor=(k, 1) if axis == 2 else (1, k))
        return y.narrow(axis, 0, x.shape[axis]) if pad else y

    def without_branch(m, x):
        pad = missing(x.shape[axis])
        y = F.pad(x, (0, 0, pad, 0) if axis == 2 else (pad, 0, 0, 0))
        return y.narrow(axis, pad, x.shape[axis])

    return Form(d.pick(forward, without_branch))


@form
def target_size_computed(d: Draw):
    t, axis, k = d.t, d.axis, d.pick(2, 3, 8)
    size = d.pick(
        lambda n: min(n, t), lambda n: max(n, t), lambda n: int(n * 0.5) * 2, lambda n: int(n / k) * k,
        lambda n: round(n / t) * t or n, lambda n: n if n < t else n - 1, lambda n: n + (n > t), lambda n: n - (n == t),
        lambda n: sorted([1, n, t])[1], lambda n: int(np.clip(n, 1, t)), lambda n: max(1, n // k) * k,
        lambda n: int(math.sqrt(n * n)), lambda n: int(n**1.0), lambda n: n and t and n,
        lambda n: n * bool(n <= t) or t,
        lambda n: sum(1 for _ in range(n)), lambda n: np.int64(n), lambda n: torch.tensor(n).item(),
        lambda n: int(str(n)), lambda n: len(range(n)), lambda n: torch.Size([n])[0], lambda n: n // 1 % 1000 or 1,
        lambda n: math.floor(n * 1.1 / 1.1), lambda n: abs(n - t) + t, lambda n: sum([n, 1, -1]),
        lambda n: int(f"{n:d}"),
    )  # fmt: skip
    resize = d.pick(
        lambda x, s: F.interpolate(x, size=s),
        lambda x, s: F.adaptive_avg_pool2d(x, s),
        lambda x, s: F.adaptive_max_pool2d(x, s),
        lambda x, s: torch.zeros(1, 4, *s) + 1,
        lambda x, s: x[:, :, : s[0], : s[1]],
        lambda x, s: F.pad(x, (0, s[1] - x.shape[3], 0, s[0] - x.shape[2])),
    )

    def forward(m, x):
        sizes = [x.shape[2], x.shape[3]]
        sizes[axis - 2] = size(sizes[axis - 2])
        return resize(x, tuple(sizes))

    return changing(d, forward)


@form
def factors_computed(d: Draw):
    t, axis = d.t, d.axis

    def to_fixed(m, x):
        y = F.interpolate(x, scale_factor=t / x.shape[axis])
        return F.interpolate(y, scale_factor=x.shape[axis] / t)

    def of_sizes(m, x):
        y = F.max_pool2d(x, 2)
        return F.interpolate(y, scale_factor=(x.shape[2] / y.shape[2], x.shape[3] / y.shape[3]))

    def whole(m, x):
        y = F.max_pool2d(x, 2)
        return F.interpolate(y, scale_factor=x.shape[axis] // y.shape[axis])

    def stride(m, x):
        s = max(1, x.shape[axis] // t)
        return F.interpolate(F.avg_pool2d(x, s), scale_factor=s)

    def floats(m, x):
        return F.interpolate(x, scale_factor=1.0 + (x.shape[axis] > t) * 0.01)

    def unknown(m, x):
        return F.interpolate(x, scale_factor=(1 + 1 / t, 1.0), recompute_scale_factor=True)

    return changing(d, d.pick(to_fixed, of_sizes, whole, stride, floats, unknown))


@form
def steps_and_slices(d: Draw):
    t, k, axis = d.t, d.pick(2, 3, 5), d.axis
    return changing(
        d,
        d.pick(
            lambda m, x: x[:, :, : -(x.shape[2] // t) or None],
            lambda m, x: x[:, :, x.shape[2] // t :],
            lambda m, x: x[:, :, : x.shape[2] - x.shape[2] % k],
            lambda m, x: x[:, :, :: 1 + x.shape[2] // t],
            lambda m, x: x[..., t:] if axis == 2 else x[..., -t:],
            lambda m, x: torch.cat([x[..., :t], x[..., t:].flip(-1)], -1),
            lambda m, x: torch.cat([x[:, :, :-k], x[:, :, -k:]], 2),
            lambda m, x: x[:, :, slice(None, t)],
            lambda m, x: x[(slice(None),) * 2 + (slice(0, x.shape[2] - (x.shape[2] > t)),)],
            lambda m, x: x[:, :, list(range(x.shape[2]))[::-1]],
            lambda m, x: x[:, :, torch.arange(x.shape[2] - 1, -1, -1)],
            lambda m, x: x[:, :, torch.arange(0, x.shape[2], 2)].repeat_interleave(2, 2),
            lambda m, x: x[:, :, range(1)],
            lambda m, x: x[:, :, [0] * x.shape[2]],
            lambda m, x: x[:, :, torch.ones(x.shape[2], dtype=torch.bool)],
            lambda m, x: x[:, [True, True, True, True]],
            lambda m, x: x[..., None].squeeze(-1)[:, :, : t],
            lambda m, x: torch.linspace(0, 1, x.shape[2]).view(1, 1, -1, 1) + x,
            lambda m, x: torch.arange(0, x.shape[2], 1.0).view(1, 1, -1, 1) + x,
            lambda m, x: torch.arange(0, 2 * x.shape[2], 2).view(1, 1, -1, 1) + x,
            lambda m, x: torch.arange(0.0, x.shape[2] / 2, 0.5).view(1, 1, -1, 1) + x,
            lambda m, x: torch.diff(F.pad(x, (1, 0)), dim=3),
            lambda m, x: F.pad(x, (0, 0, -(x.shape[2] > t), 0)),
            lambda m, x: x.movedim(1, -1).movedim(-1, 1)[:, :, :t],
        ),
    )  # fmt: skip


@form
def windows_of_computed_sizes(d: Draw):
    t, axis, k = d.large() if d.pick(True, False) else d.t, d.axis, d.pick(3, 7, 15)
    return changing(
        d,
        d.pick(
            lambda m, x: F.avg_pool2d(x, (1 + 2 * (x.shape[2] // t), 1), 1, (x.shape[2] // t, 0)),
            lambda m, x: F.max_pool2d(x, k, 1, k // 2),
            lambda m, x: F.conv2d(x, torch.zeros(4, 4, 1 + x.shape[2] // t, 1)),
            lambda m, x: F.conv2d(x, m.weight, padding=(x.shape[2] // t + 1, 1)),
            lambda m, x: F.conv2d(x, m.weight, padding="same", dilation=1 + x.shape[2] // t),
            lambda m, x: F.conv2d(x, m.weight, padding="valid" if x.shape[axis] > t else "same"),
            lambda m, x: F.avg_pool2d(x, (x.shape[2], 1), 1) + x,
            lambda m, x: F.avg_pool2d(x, (t, 1), 1) + x,
            lambda m, x: F.conv_transpose2d(x, m.weight, padding=1, output_padding=0, stride=1 + (x.shape[axis] == t)),
            lambda m, x: F.unfold(x, (1, 1)).view(1, 4, x.shape[2], -1),
            lambda m, x: F.fold(F.unfold(x, 3), (x.shape[2] + x.shape[2] // t, x.shape[3]), 3),
            lambda m, x: F.conv1d(x.mean(3), torch.zeros(4, 4, 3), padding=1).unsqueeze(3) + x,
            lambda m, x: F.max_pool2d(
                F.pad(x, (1, 1, 1, 1), mode="reflect" if x.shape[axis] > t else "replicate"), 3, 1
            ),
            lambda m, x: F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.5), _random_samples=torch.zeros(1, 4, 2)),
            lambda m, x: F.lp_pool2d(x, 2, 1 + 2 * (axis == 2), 1),
        ),
        weight=torch.zeros(4, 4, 3, 3),
    )


@form
def shuffled_by_size(d: Draw):
    t, axis = d.t, d.axis

    def unshuffled(m, x):
        r = 2 if x.shape[axis] % 2 == 0 and x.shape[5 - axis] % 2 == 0 else 1
        return F.pixel_shuffle(F.pixel_unshuffle(x, r), r)

    def by_views(m, x):
        n, c, h, w = x.shape
        y = x.view(n, c, h // 2, 2, w).permute(0, 1, 3, 2, 4).reshape(n, 2 * c, h // 2, w)
        return y.view(n, c, 2, h // 2, w).permute(0, 1, 3, 2, 4).reshape(n, c, -1, w)

    def by_channels(m, x):
        return F.pixel_shuffle(F.channel_shuffle(x, 2), 2).repeat(1, 4, 1, 1)[:, :4, ::2, ::2]

    def below(m, x):
        return (
            F.pixel_unshuffle(x, 2)[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3) if x.shape[axis] < t else x
        )

    return changing(d, d.pick(unshuffled, by_views, by_channels, below))
