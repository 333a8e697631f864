"""Every function that has a rule, at every small size, against real tensors: shapes, refusals, and the lines behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup.inspection.copies import meta_copy
from segup.inspection.shape_rules import _PARTS, SHAPE_RULES
from segup.inspection.trace import Tracer
from segup.inspection.traced import TracedSize, as_ints

W = torch.zeros(4, 4, 3, 2)
RECURRENT = {
    name: kind(4, 3, 2, bidirectional=True) for name, kind in (("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn_tanh", nn.RNN))
}
FUNCTIONS = {
    "conv2d": lambda x: F.conv2d(x, W.to(x.device), None, (2, 1), (1, 0), (1, 2)),
    "conv2d same": lambda x: F.conv2d(x, W.to(x.device), padding="same"),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, W.to(x.device), None, (2, 3), (2, 1), (1, 0), 1, (1, 2)),
    "conv_transpose2d to below 1": lambda x: F.conv_transpose2d(x, W.to(x.device), padding=2),
    "max_pool2d ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "max_pool2d indices": lambda x: F.max_pool2d(x, (2, 3), return_indices=True),
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "lp_pool2d": lambda x: F.lp_pool2d(x, 2, 2, ceil_mode=True),
    # without output_size torch refuses some odd sizes by the values of the indices
    "max_unpool2d to a size": lambda x: F.max_unpool2d(
        *F.max_pool2d(x, 2, return_indices=True), 2, output_size=x.shape[-2:]
    ),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, None)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, 2),
    "interpolate to a size": lambda x: F.interpolate(x, (x.shape[2] // 2, x.shape[3] + 1), mode="nearest"),
    "interpolate by ints": lambda x: F.interpolate(x, scale_factor=(2, 3.0), mode="bilinear"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "pad": lambda x: F.pad(x, (1, -2, 3, 0)),
    "pad by a size": lambda x: F.pad(x, (0, x.shape[3] % 4, 0, 3)),
    "pad reflect": lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"),
    "pad circular": lambda x: F.pad(x, (2, 1, 0, 3), mode="circular"),
    "pad replicate": lambda x: F.pad(x, (2, 1, 0, 3), mode="replicate"),
    "unfold": lambda x: F.unfold(x, 3, padding=1, stride=2),
    "add": lambda x: x + x.mean((2, 3), keepdim=True) - 2 * x.max(dim=3, keepdim=True).values,
    "iadd": lambda x: x.clone().add_(1).mul_(x.sigmoid()),
    "where": lambda x: torch.where(x > 0, x, -x),
    "cat": lambda x: torch.cat([x, x[:, :, 1:]], dim=2),
    "cat of two sizes": lambda x: torch.cat([x, x[:, :, ::2]], dim=1),
    "stack": lambda x: torch.stack([x, x]),
    "stack of two sizes": lambda x: torch.stack([x, x[:, :, 2:]]),
    "permute": lambda x: x.permute(0, 2, 3, 1).permute((0, 3, 1, 2)).transpose(2, 3).mT,
    "flatten": lambda x: x.flatten(2).transpose(1, 2),
    "view": lambda x: x.view(x.shape[0], 2, -1, x.shape[2], x.shape[3]),
    "unflatten": lambda x: x.unflatten(3, (-1, 2)),
    "unflatten after a way": lambda x: F.pad(x, (0, x.shape[3] % 2)).unflatten(3, (-1, 2)),
    "unsqueeze": lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(-1),
    "squeeze": lambda x: x.squeeze(),
    "expand": lambda x: x[:, :, :1].expand(-1, -1, x.shape[2], -1),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "repeat": lambda x: x.repeat(1, 1, 2, 3),
    "chunk": lambda x: x.chunk(2, dim=1),
    "split": lambda x: x.split([1, 3], dim=1),
    "unbind": lambda x: x.unbind(1),
    "narrow": lambda x: x.narrow(2, 1, x.shape[2] - 1),
    "narrow beyond": lambda x: x.narrow(2, 1, 3),
    "select": lambda x: x.select(2, -1),
    "index": lambda x: x[0, ..., 2, None],
    "slices": lambda x: (x[:, :, 1:-1], x[..., 3:], x[..., :3], x[..., -3:], x[:, :, ::2], x[:, :, 1::3], x[..., 5:2]),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "linear": lambda x: F.linear(x.permute(0, 2, 3, 1), W[:, :, 0, 0].to(x.device)),
    "attention": lambda x: F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)] * 3),
    "einsum": lambda x: torch.einsum("bchw,bcHw->bhH", x, x[:, :, 1:]),
    "lstm": lambda x: _recurrent("lstm", x[:, :, 1:], True),
    "gru": lambda x: _recurrent("gru", x, False),
    "rnn": lambda x: _recurrent("rnn_tanh", x, True),
    "zeros": lambda x: torch.zeros(2, x.shape[2], x.size(3), device=x.device),
    "new_zeros": lambda x: x.new_zeros((1, x.shape[2])),
    "new_full": lambda x: x.new_full((1, x.shape[3]), 2.0),
    "zeros_like": lambda x: torch.zeros_like(x[:, :, 1:]),
    "grid_sample": lambda x: F.grid_sample(x, x[:, :2, 1:].permute(0, 2, 3, 1), align_corners=False),
    "norms": lambda x: F.group_norm(F.normalize(x), 2),
    "softmax": lambda x: x.softmax(1).log_softmax(dim=2).cumsum(3),
    "reductions": lambda x: (x.mean(), x.sum(1), x.amax((1, -1)), x.std(dim=0, keepdim=True), x.norm(dim=1)),
    "setitem": lambda x: _put(x),
}
# Refused by torch at some sizes for reasons that are not followed: there it says so, and proves nothing.
NOT_FOLLOWED = {
    "reshape in halves": lambda x: x.reshape(1, 4, x.shape[2] // 2, 2, x.shape[3]),
}


def _recurrent(name, x, batch_first):
    sequence = x.mean(3).transpose(1, 2) if batch_first else x.mean(2).permute(2, 0, 1)
    weights = [weight.to(x.device) for weight in RECURRENT[name]._flat_weights]
    state = torch.zeros(4, x.shape[0], 3, device=x.device)
    states = (state, state) if name == "lstm" else state
    return getattr(torch, name)(sequence, states, weights, True, 2, 0.0, False, True, batch_first)


def _put(x):
    y = x.clone()
    y[:, :, 0] = 1
    y[:, :1] = x[:, 1:2]
    return y


class Body(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def real_shapes(function, size):
    try:
        out = function(torch.rand(1, 4, *size))
    except (RuntimeError, ValueError, IndexError):
        return None
    parts = [out] if isinstance(out, torch.Tensor) else list(out)
    return [tuple(part.shape) for part in parts]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("watch", [True, False])
def test_a_rule_says_what_torch_does(name, watch):
    function = FUNCTIONS[name]
    tracer = Tracer(meta_copy(Body(function)), in_channels=4)
    sizes = [(n, 8) for n in range(1, 13)] + [(8, n) for n in range(1, 13)]
    for size in sizes[:: 5 if watch else 1]:
        run = tracer.run(size, watch=watch)
        expected = real_shapes(function, size)
        assert list(run.record.unfollowed) == [], size
        if expected is None:
            assert run.refusal is not None, size
            continue
        assert run.refusal is None, (size, run.refusal)
        assert [as_ints(shape) for shape in run.outputs.values()] == expected, size
        for shape in run.outputs.values():
            for dim in shape:
                if type(dim) is TracedSize and dim.extent.single() is not None:
                    axis, line = dim.extent.single()
                    assert line(size[axis]) == dim.value


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_what_is_not_followed_is_said_and_no_size_is_wrong(name):
    function = NOT_FOLLOWED[name]
    tracer = Tracer(meta_copy(Body(function)), in_channels=4)
    unfollowed = 0
    for size in [(n, 8) for n in range(1, 13)]:
        run = tracer.run(size)
        unfollowed += bool(run.record.unfollowed)
        if not run.record.unfollowed:
            assert [as_ints(shape) for shape in run.outputs.values()] == (real_shapes(function, size) or [])
    assert unfollowed > 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_run_says_of_other_sizes_is_so(name):
    """A shape that did not depend on the way there holds at every size that takes the same way."""
    function = FUNCTIONS[name]
    tracer = Tracer(meta_copy(Body(function)), in_channels=4)
    for axis in (0, 1):
        sizes = [(n, 8) if axis == 0 else (8, n) for n in range(1, 20)]
        runs = {size[axis]: tracer.run(size) for size in sizes}
        for run in runs.values():
            for other in range(1, 20):
                decisions = [decision for decision in run.record.decisions if decision.axis == axis]
                if run.refusal is not None or any(decision.at(other) != decision.outcome for decision in decisions):
                    continue
                assert runs[other].refusal is None
                for mine, theirs in zip(run.outputs.values(), runs[other].outputs.values(), strict=True):
                    for one, two in zip(mine, theirs, strict=True):
                        single = one.extent.single() if type(one) is TracedSize and one.extent else None
                        if single is not None and single[0] == axis:
                            assert single[1](other) == as_ints([two])[0]


def test_no_name_has_two_rules():
    assert len(SHAPE_RULES) == sum(len(part.RULES) for part in _PARTS)
