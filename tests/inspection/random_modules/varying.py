"""Closures, parts chosen by size, caches and memory, and randomness: the code of a model beside its layers."""

import functools
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .form import Draw, changing, form


@form
def partials_and_closures(d: Draw):
    t, axis, change = d.t, d.axis, d.change()

    def crop(limit, x):
        return x.narrow(axis, 0, min(limit, x.shape[axis]))

    def branch(x, limit):
        return change(x) if x.shape[axis] >= limit else x

    def late(x):
        size = x.shape[axis]
        return (lambda: change(x) if size > t else x)()

    def kept_in_default(x, cut=change):
        return (lambda size=x.shape[axis]: cut(x) if size == t else x)()

    return changing(
        d,
        d.pick(
            lambda m, x: functools.partial(crop, t)(x),
            lambda m, x: functools.partial(branch, limit=t)(x),
            lambda m, x: late(x),
            lambda m, x: kept_in_default(x),
            lambda m, x: functools.reduce(lambda y, size: change(y) if size > t else y, x.shape, x),
            lambda m, x: next(change(x) if size > t else x for size in x.shape[axis:]),
            lambda m, x: (x, change(x))[x.shape[axis] > t],
            lambda m, x: [x, change(x)][int(x.shape[axis] >= t)],
            lambda m, x: {True: change, False: torch.clone}[x.shape[axis] == t](x),
            lambda m, x: x if (size := x.shape[axis]) < t or size % 2 else change(x),
        ),
    )


@form
def parts_chosen_by_size(d: Draw):
    t, read = d.t, d.reading()
    parts = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.MaxPool2d(3, 1, 1)])
    by_name = nn.ModuleDict({"small": nn.Identity(), "large": nn.Conv2d(4, 4, 2)})

    def loop(m, x):
        for _ in range(read(x) // t):
            x = m.parts[1](x)
        return x

    def until(m, x):
        y = x
        while y.shape[2] > t:
            y = F.max_pool2d(y, 2)
        return F.interpolate(y, x.shape[2:]) if y is not x else y[:, :, :]

    return changing(
        d,
        d.pick(
            loop, until, lambda m, x: m.parts[min(read(x) // t, 2)](x), lambda m, x: m.parts[: 1 + read(x) // t][-1](x),
            lambda m, x: m.by_name["large" if read(x) > t else "small"](x),
        ),
        parts=parts, by_name=by_name,
    )  # fmt: skip


@form
def recursion(d: Draw):
    t, axis, k = max(d.t, 3), d.axis, d.pick(2, 3)

    def halve(x):
        return x if x.shape[axis] <= t else F.interpolate(halve(F.avg_pool2d(x, 2)), scale_factor=2)

    def count(m, x, depth):
        return (
            x if depth == 0 or min(x.shape[2:]) < 2 else F.interpolate(count(m, m.down(x), depth - 1), scale_factor=2)
        )

    return changing(d, d.pick(lambda m, x: halve(x), lambda m, x: count(m, x, k)), down=nn.Conv2d(4, 4, 3, 2, 1))


@form
def random_crops(d: Draw):
    t, axis = d.t, d.axis
    draws = d.pick(
        lambda: random.randint(0, 1), lambda: int(np.random.randint(2)), lambda: torch.randint(2, (1,)).item(),
        lambda: int(torch.rand(1) > 0.5), lambda: random.choice([0, 1]),
        lambda: int(np.random.default_rng().integers(2)),
        lambda: random.Random().randrange(2), lambda: int(torch.randperm(2)[0]), lambda: int(random.random() * 2),
        lambda: random.SystemRandom().randint(0, 1), lambda: int(torch.empty(1).bernoulli_(0.5)),
        lambda: torch.multinomial(torch.ones(2), 1).item(),
    )  # fmt: skip
    return d.pick(
        changing(d, lambda m, x: x.narrow(axis, draws(), x.shape[axis] - 1), varies=True),
        changing(d, lambda m, x: x.narrow(axis, 0, x.shape[axis] - draws()), varies=True),
        changing(d, lambda m, x: x[:, :, :t] if draws() else x, varies=True),
        changing(d, lambda m, x: F.interpolate(x, size=(x.shape[2] + draws(), x.shape[3])), varies=True),
    )


@form
def own_generators(d: Draw):
    t, axis = d.t, d.axis
    made = random.Random(d.t)
    numpys = np.random.default_rng(d.t)

    def torchs():
        generator = torch.Generator()
        generator.seed()
        return torch.randint(2, (1,), generator=generator).item()

    def stepping(m, x):
        m.calls += 1
        return x.narrow(axis, 0, x.shape[axis] - (m.calls % 3 == 0))

    draws = d.pick(
        torchs, lambda: made.randint(0, 1), lambda: int(numpys.integers(2)), lambda: int(made.gauss(0, 1) > 0)
    )
    one = changing(d, lambda m, x: x.narrow(axis, 0, x.shape[axis] - draws()), varies=True)
    two = changing(d, stepping, varies=True, calls=t)
    return d.pick(one, one, two)


@form
def seeded_randomness(d: Draw):
    t, axis = d.t, d.axis

    def seeded(m, x):
        offset = random.Random(x.shape[axis] // t).randint(0, 1)
        return x.narrow(axis, 0, x.shape[axis] - offset)

    def torch_seeded(m, x):
        generator = torch.Generator().manual_seed(7)
        return x + torch.rand(x.shape, generator=generator)

    return changing(
        d, d.pick(seeded, torch_seeded, lambda m, x: x + torch.rand_like(x), lambda m, x: F.dropout(x, 0.5, True))
    )


@form
def caches_and_memory(d: Draw):
    t, axis, read, change = d.t, d.axis, d.reading(), d.change()

    def by_size(m, x):
        key = (read(x), t)
        if key not in m.memory:
            m.memory[key] = torch.zeros(d.row(read(x)))
        return x + m.memory[key]

    def by_shape(m, x):
        found = m.memory.setdefault(x.shape, torch.zeros(1, 1, *x.shape[2:]))
        return x + found

    def kept(m, x):
        if m.kept is None or m.kept.shape[axis] != x.shape[axis]:
            m.kept = torch.ones(d.row(x.shape[axis]))
        return x * m.kept

    def text(m, x):
        name = f"size{read(x)}"
        if not hasattr(m, name):
            setattr(m, name, torch.zeros(1))
        return x + getattr(m, name)

    def limited(m, x):
        return change(x) if _is_over(read(x), t) else x

    def previous(m, x):
        before, m.size = m.size, read(x)
        return change(x) if before is not None and before > read(x) else x

    def first(m, x):
        m.size = read(x) if m.size is None else m.size
        return x[:, :, : m.size] if axis == 2 else x[..., : m.size]

    def registered(m, x):
        m.register_buffer("seen", torch.zeros(1, 1, *x.shape[2:]), persistent=False)
        return x + m.seen

    function = d.pick(by_size, by_shape, kept, text, limited, previous, first, registered)
    return changing(d, function, varies=function in (previous, first), memory={}, kept=None, size=None)


@functools.lru_cache
def _is_over(n: int, t: int) -> bool:
    return n > t
