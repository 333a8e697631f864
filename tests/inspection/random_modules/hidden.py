"""Sizes read or changed where a trace of the forward may not see it."""

import threading

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .form import Draw, changing, form


@form
def another_thread(d: Draw):
    t, read, change = d.t, d.reading(), d.change()

    def forward(m, x):
        found = []
        thread = threading.Thread(target=lambda: found.append(read(x) > t))
        thread.start()
        thread.join()
        return change(x) if found[0] else x

    def whole(m, x):
        found = []
        thread = threading.Thread(target=lambda: found.append(x[:, :, :t] * 2))
        thread.start()
        thread.join()
        return found[0]

    return changing(d, d.pick(forward, whole))


@form
def behind_torch_function(d: Draw):
    t, read, change = d.t, d.reading(), d.change()

    def disabled(m, x):
        with torch._C.DisableTorchFunction():
            return change(x) if read(x) > t else x

    def subclass_disabled(m, x):
        with torch._C.DisableTorchFunctionSubclass():
            return change(x) if read(x) > t else x

    def size_only(m, x):
        with torch._C.DisableTorchFunction():
            larger = read(x) > t
        return change(x) if larger else x

    def all_disabled(m, x):
        with torch._C._DisableFuncTorch(), torch._C.DisableTorchFunction():
            return x.narrow(2, 0, min(t, x.shape[2]))

    def operator_call(m, x):
        return torch.ops.aten.narrow(x, 2, 0, torch.ops.aten.sym_size.int(x, 2) - (torch.ops.aten.size(x)[2] > t))

    def raw(m, x):
        size = torch._C.TensorBase.size(x, 2)
        return change(x) if size == t else x

    def disabled_by_name(m, x):
        larger = torch._C._disabled_torch_function_impl(torch.Tensor.size, (), (x,), {})[2] > t
        return change(x) if larger else x

    return changing(
        d, d.pick(disabled, subclass_disabled, size_only, all_disabled, operator_call, raw, disabled_by_name)
    )


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t, cut):
        return cut(x).clone() if x.shape[2] > t else x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None, None


class _Same(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


@form
def autograd_function(d: Draw):
    t, change = d.t, d.change()
    return changing(d, d.pick(lambda m, x: _Cut.apply(x, t, change), lambda m, x: _Same.apply(x)))


@form
def checkpointed(d: Draw):
    t, read, change, again = d.t, d.reading(), d.change(), d.pick(True, False)
    return changing(
        d,
        d.pick(
            lambda m, x: checkpoint(m.conv, x, use_reentrant=again),
            lambda m, x: checkpoint(lambda y: change(y) if read(y) > t else y, x, use_reentrant=again),
        ),
        conv=nn.Conv2d(4, 4, 3, padding=1),
    )


@form
def vectorised(d: Draw):
    t, axis, change = d.t, d.axis, d.change()
    return changing(
        d,
        d.pick(
            lambda m, x: torch.vmap(lambda y: y * 2)(x),
            lambda m, x: torch.vmap(lambda y: y[:, :t])(x),
            lambda m, x: torch.vmap(lambda y: y + y.mean(), in_dims=axis, out_dims=axis)(x),
            lambda m, x: torch.vmap(lambda y: change(y[None])[0] if y.shape[axis - 1] > t else y)(x),
            lambda m, x: torch.func.functional_call(m.conv, dict(m.conv.named_parameters()), (x,)),
            lambda m, x: torch.func.jvp(lambda y: y * y, (x,), (x,))[1],
        ),
        conv=nn.Conv2d(4, 4, 3, padding=1),
    )


@form
def storage_replaced(d: Draw):
    t, axis, change, read = d.t, d.axis, d.change(), d.reading()

    def by_data(m, x):
        y = x.clone()
        y.data = change(x) if axis == 2 else x[:, :, :t].clone()
        return y

    def by_data_same(m, x):
        y = torch.zeros_like(x)
        y.data = x * 2
        return y

    def by_set(m, x):
        y = x.new_empty(0)
        return y.set_(change(x).contiguous())

    def by_resize(m, x):
        y = torch.zeros(0).to(x.dtype)
        return y.resize_(1, 4, x.shape[2] - read(x) // t, x.shape[3]).fill_(1)

    def by_resize_as(m, x):
        return torch.zeros(1).resize_as_(change(x)).zero_()

    def swapped(m, x):
        y, z = x * 2, change(x) * 1
        torch.utils.swap_tensors(y, z)
        return y

    def transposed(m, x):
        y = x * 2
        y.transpose_(2, 3)
        return y

    def squeezed(m, x):
        y = x.clone().unsqueeze_(0)
        return y.squeeze_(0)

    return changing(d, d.pick(by_data, by_data_same, by_set, by_resize, by_resize_as, swapped, transposed, squeezed))


@form
def control_flow_of_torch(d: Draw):
    t, read, change = d.t, d.reading(), d.change()
    if not hasattr(torch, "cond"):
        return changing(d, lambda m, x: change(x) if read(x) > t else x)
    return changing(
        d,
        d.pick(
            lambda m, x: torch.cond(read(x) > t, lambda y: y * 2, lambda y: y + 1, (x,)),
            lambda m, x: torch.cond(x.shape[2] == t, lambda y: y[:, :, 1:] * 1, lambda y: y * 1, (x,)),
            lambda m, x: torch.cond(torch.tensor(read(x) > t), lambda y: y.sin(), lambda y: y.cos(), (x,)),
        ),
    )


@form
def values_held_by_the_model(d: Draw):
    t, read, change = d.t, d.reading(), d.change()
    return changing(
        d,
        d.pick(
            lambda m, x: change(x) if read(x) > m.limit else x,
            lambda m, x: change(x) if read(x) > m.limit.item() else x,
            lambda m, x: x[:, :, : int(m.limit)],
            lambda m, x: x[:, :, m.index],
            lambda m, x: change(x) if read(x) in m.limit else x,
        ),
        limit=torch.tensor(t), index=torch.arange(3), reads_values=True, by_values=True,
    )  # fmt: skip
