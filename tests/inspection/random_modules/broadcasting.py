"""In-place and broadcasting calls that torch refuses from some size on."""

import torch
import torch.nn.functional as F

from .form import Draw, changing, form, growing


def _augmented(x, y):
    x += y
    return x


@form
def in_place_arithmetic_that_broadcasts(d: Draw):
    row = growing(d)
    act = d.pick(
        lambda x, y: x.add_(y), lambda x, y: x.sub_(y), lambda x, y: x.mul_(y), lambda x, y: x.div_(y + 1), _augmented,
        lambda x, y: x.maximum(y).pow_(1 + y.relu()), lambda x, y: x.fmod_(y + 1), lambda x, y: x.atan2_(y),
        lambda x, y: x.addcmul_(y, y), lambda x, y: x.addcdiv_(y, y + 1), lambda x, y: x.lerp_(y, 0.5),
        lambda x, y: x.clamp_(min=y), lambda x, y: x.__iadd__(y), lambda x, y: x.__imul__(y), lambda x, y: x.eq_(y),
        lambda x, y: x.hypot_(y), lambda x, y: torch.Tensor.add_(x, y, alpha=2), lambda x, y: x.copysign_(y),
        lambda x, y: x.clip_(y, y + 1), lambda x, y: x.floor_divide_(y + 1), lambda x, y: x.gt_(y),
    )  # fmt: skip
    return changing(d, lambda m, x: act(x.clone(), row(x)))


@form
def copies_that_broadcast(d: Draw):
    row = growing(d)

    def assigned(x, y):
        x[...] = y
        return x

    def assigned_part(x, y):
        x[:, 1:3] = y
        return x

    def through_data(x, y):
        x.data.copy_(y)
        return x

    act = d.pick(
        lambda x, y: x.copy_(y), assigned, assigned_part, through_data,
        lambda x, y: x + x.narrow(1, 0, 2).copy_(y).repeat(1, 2, 1, 1),
        lambda x, y: x.select(1, 0).copy_(y[0, 0]).expand_as(x), lambda x, y: torch.zeros_like(x).copy_(y),
        lambda x, y: x.expand(2, -1, -1, -1).clone().copy_(y)[:1], lambda x, y: y.expand_as(x) + x,
        lambda x, y: y.expand(x.shape) + x, lambda x, y: torch.broadcast_to(y, x.shape) + x,
        lambda x, y: torch.broadcast_tensors(x, y)[1] + 0,
    )  # fmt: skip
    return changing(d, lambda m, x: act(x.clone(), row(x)))


@form
def masks_that_broadcast(d: Draw):
    row = growing(d)
    act = d.pick(
        lambda x, y: x.masked_fill(y > 1, 0.0), lambda x, y: x.masked_fill_(y > 1, 0.0),
        lambda x, y: torch.where(y > 1, x, x * 0), lambda x, y: torch.where(x > 0, x, y),
        lambda x, y: x.masked_scatter(y > 1, x), lambda x, y: torch.masked_fill(x, y != 0, torch.tensor(1.0)),
        lambda x, y: x.where(y < 1, y), lambda x, y: x.logical_and(y).float(), lambda x, y: x.bernoulli_(y) * 0 + x,
        lambda x, y: torch.lerp(x, y, 0.5), lambda x, y: torch.lerp(x, x, y), lambda x, y: torch.addcmul(x, y, x),
        lambda x, y: torch.clamp(x, y, y + 1), lambda x, y: F.mse_loss(x, y, reduction="none"),
        lambda x, y: torch.isclose(x, y).float(), lambda x, y: torch.dist(x, y) + x,
        lambda x, y: F.cosine_similarity(x, y).unsqueeze(1) + x, lambda x, y: F.prelu(x, torch.ones(1)) + y,
    )  # fmt: skip
    return changing(d, lambda m, x: act(x.clone(), row(x)))


@form
def results_written_to_out(d: Draw):
    row = growing(d)
    t, axis = d.t, d.axis

    def fixed(x):
        shape = list(x.shape)
        shape[axis] = t
        return torch.zeros(shape)

    act = d.pick(
        lambda x, y: torch.add(x, y, out=torch.empty_like(x)),
        lambda x, y: torch.mul(x, 2, out=fixed(x)[:, :, :1]),
        lambda x, y: torch.add(x, 1, out=torch.empty(0)),
        lambda x, y: torch.cat([x[:, :2], x[:, 2:]], 1, out=torch.empty_like(x)),
        lambda x, y: torch.sub(x, y, out=x),
        lambda x, y: torch.clamp(x, 0, 1, out=fixed(x).requires_grad_(False)),
    )
    return changing(d, lambda m, x: act(x.clone(), row(x)))


@form
def einsum_that_broadcasts(d: Draw):
    row = growing(d)
    return changing(
        d,
        d.pick(
            lambda m, x: torch.einsum("nchw,nchw->nchw", x, x.mean((2, 3), keepdim=True)),
            lambda m, x: torch.einsum("nchw,nchw->nchw", x, row(x).expand(1, 4, -1, -1)),
            lambda m, x: torch.einsum("...hw,...hw->...hw", x, row(x)),
            lambda m, x: torch.einsum("nchw,nchw", x, x) + x,
            lambda m, x: torch.einsum("abcd,ef->abcd", x, x[0, 0]),
            lambda m, x: torch.einsum("...w,w->...w", x, x[0, 0, 0]),
            lambda m, x: torch.einsum(x, [0, 1, 2, 3], row(x), [0, 4, 2, 3], [0, 1, 2, 3]),
            lambda m, x: torch.einsum("nchw,nchw->nch", x, row(x).expand(-1, 4, -1, -1)).unsqueeze(3) + x,
            lambda m, x: torch.einsum("badc", x).transpose(0, 1).transpose(2, 3),
            lambda m, x: torch.einsum("nchh->nch", x).unsqueeze(3) + x,
        ),
    )
