"""Scripted and traced parts, hooks, subclasses of layers, and layers that are changed as they run."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .form import Draw, Form, changing, form


@torch.jit.script
def _is_larger(x: Tensor, t: int) -> bool:
    return x.shape[2] > t


@torch.jit.script
def _size_below(x: Tensor, t: int) -> int:
    return min(x.size(2), t)


@torch.jit.script
def _cut_from(x: Tensor, t: int) -> Tensor:
    if x.size(2) >= t:
        return x[:, :, 1:]
    return x


@torch.jit.script
def _shape_of(x: Tensor) -> list[int]:
    return [x.size(2), x.size(3)]


@torch.jit.script
def _doubled(x: Tensor) -> Tensor:
    return x * 2 + x.mean()


@form
def scripted_function(d: Draw):
    t, change = d.t, d.change()
    return changing(
        d,
        d.pick(
            lambda m, x: change(x) if _is_larger(x, t) else x,
            lambda m, x: x[:, :, : _size_below(x, t)],
            lambda m, x: _cut_from(x, t),
            lambda m, x: F.interpolate(x, size=_shape_of(x)),
            lambda m, x: change(x) if _shape_of(x)[0] == t else x,
            lambda m, x: change(x) if _shape_of(x) == [t, 64] else x,
            lambda m, x: _doubled(x),
            lambda m, x: F.adaptive_avg_pool2d(x, (_size_below(x, t), 1)) + x,
        ),
    )


class _Scripted(nn.Module):
    def __init__(self, t: int) -> None:
        super().__init__()
        self.t, self.conv = t, nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.size(3) > self.t:
            return y[:, :, :, 1:]
        return y


class _ScriptedPlain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


@functools.cache
def _scripted(t: int):
    return torch.jit.script(_Scripted(t))


@functools.cache
def _scripted_plain():
    return torch.jit.script(_ScriptedPlain())


@form
def scripted_submodule(d: Draw):
    part = d.pick(_scripted(d.t), _scripted_plain())
    return changing(d, lambda m, x: m.part(x), part=part)


class _Traceable(nn.Module):
    def __init__(self, t: int, kind: str) -> None:
        super().__init__()
        self.t, self.kind, self.conv = t, kind, nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.kind == "plain":
            return y
        if self.kind == "fixed":  # the size of the example becomes a constant
            return F.interpolate(y, size=(int(x.shape[2]), int(x.shape[3])))
        return F.interpolate(y[:, :, : self.t], size=x.shape[2:])


@form
def traced_submodule(d: Draw):
    kind = d.pick("plain", "fixed", "back")
    part = torch.jit.trace(_Traceable(d.t, kind).eval(), torch.zeros(1, 4, d.t % 100 + 2, 8), check_trace=False)
    return Form(lambda m, x: m.part(x), thresholds=(d.t, d.t % 100 + 2), part=part)


@form
def hooks(d: Draw):
    t, read, change = d.t, d.reading(), d.change()
    conv = nn.Conv2d(4, 4, 1)
    kind = d.pick("forward", "pre", "crop", "kwargs", "method", "always")
    if kind == "forward":
        conv.register_forward_hook(lambda m, args, y: change(y) if read(y) > t else y)
    elif kind == "pre":
        conv.register_forward_pre_hook(lambda m, args: (change(args[0]),) if read(args[0]) > t else None)
    elif kind == "crop":
        conv.register_forward_hook(lambda m, args, y: y[:, :, :t])
    elif kind == "kwargs":
        conv.register_forward_pre_hook(lambda m, args, kwargs: ((args[0][..., :t],), kwargs), with_kwargs=True)
    elif kind == "always":
        conv.register_forward_hook(lambda m, args, y: change(y), always_call=True)
    else:
        conv.forward = lambda x: change(x) if read(x) == t else x
    return changing(d, lambda m, x: m.conv(x), conv=conv)


@form
def subclasses_of_layers(d: Draw):
    t, read, change = d.t, d.reading(), d.change()

    class Conv(nn.Conv2d):
        def forward(self, x):
            return super().forward(change(x) if read(x) > t else x)

    class Same(nn.Conv2d):
        def forward(self, x):
            h, w = x.shape[-2:]
            ph, pw = max((-(-h // 2) - 1) * 2 + 3 - h, 0), max((-(-w // 2) - 1) * 2 + 3 - w, 0)
            return F.conv2d(F.pad(x, (pw // 2, pw - pw // 2, ph // 2, ph - ph // 2)), self.weight, self.bias, 2)

    class Chain(nn.Sequential):
        def forward(self, x):
            return super().forward(x)[:, :, :t]

    class Up(nn.Upsample):
        def forward(self, x):
            return super().forward(x)[..., 1:] if x.size(2) > t else super().forward(x)

    part = d.pick(Conv(4, 4, 1), nn.Sequential(Same(4, 4, 3), nn.Upsample(scale_factor=2)), Chain(nn.Conv2d(4, 4, 1)),
                  nn.Sequential(nn.MaxPool2d(2), Up(scale_factor=2)))  # fmt: skip
    return changing(d, lambda m, x: m.part(x), part=part)


@form
def changed_layers(d: Draw):
    t, read = d.t, d.reading()

    def stride(m, x):
        m.conv.stride = (1, 1) if read(x) < t else (2, 2)
        return F.interpolate(m.conv(x), scale_factor=m.conv.stride[0])

    def padding(m, x):
        m.conv.padding = (1 + (read(x) == t), 1)
        return m.conv(x)

    def weight(m, x):
        return F.conv2d(x, m.conv.weight[:, :, : 1 + 2 * (read(x) // t % 2)], padding=(0, 1))

    def replaced(m, x):
        return m.other(x)

    other = nn.Conv2d(4, 4, 3, padding=1)
    other.weight = nn.Parameter(torch.zeros(4, 4, 5, 3))
    return changing(d, d.pick(stride, padding, weight, replaced), conv=nn.Conv2d(4, 4, 3, padding=1), other=other)
