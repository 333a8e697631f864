"""Arguments that follow from a size, and that no rule looks at: torch refuses some, so there is no proof."""

import itertools
import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup.inspection import check_sizes

FAR = 4001
"""A size beyond all that are run by themselves."""
SIZES = (1, 2, 63, 350, 700, FAR - 1, FAR, FAR + 1, 2 * FAR)


class Model(nn.Module):
    """A convolution, and then a function as the forward."""

    def __init__(self, function):
        super().__init__()
        self.function, self.conv = function, nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return self.function(self.conv(x), x.shape[2])


def more(n):
    return 1 + n // FAR


def from_a_row(x, n):
    return F.interpolate(x, size=(more(n), x.shape[3]))[:, :, 0]


def read_beside_another_call(x, n):
    number, y = itertools.chain(map(operator.index, [n]), map(torch.neg, [x]))
    return y[:, :, 1:] if number == FAR else y


def attended(x, n, bias):
    tokens = F.avg_pool2d(x, (1, 3)).flatten(2).permute(2, 0, 1)
    made = torch.zeros(12, 4), bias, None, None, False, 0.0, torch.zeros(4, 4), None
    return x + F.multi_head_attention_forward(tokens, tokens, tokens, 4, 2, *made)[0].mean()


REFUSED = {
    "bias of a convolution": lambda x, n: F.conv2d(x, torch.zeros(4, 4, 1, 1), torch.zeros(3 + more(n))),
    "bias of a linear layer": lambda x, n: x + F.linear(x.mean((2, 3)), torch.zeros(1, 4), torch.zeros(more(n))).mean(),
    "mean of a batch norm": lambda x, n: F.batch_norm(x, torch.zeros(3 + more(n)), torch.ones(4)),
    "weight of a group norm": lambda x, n: F.group_norm(x, 2, torch.ones(3 + more(n))),
    "slope": lambda x, n: F.prelu(x, torch.ones(3 + more(n))),
    "chance": lambda x, n: F.dropout(x, 2 * (n // FAR)),
    "ends": lambda x, n: F.hardtanh(x, 0, FAR - n),
    "divisor of an activation": lambda x, n: F.celu(x, n - 350),
    "stride of a whole window": lambda x, n: x + F.avg_pool2d(x, x.shape[2:], stride=(n % 350, 1)),
    "indices": lambda x, n: F.max_unpool2d(x, torch.zeros(1, 4, n - n // FAR, x.shape[3], dtype=torch.long), 1),
    "groups": lambda x, n: F.channel_shuffle(x, 1 + 2 * (n // FAR)),
    "flipped dimension": lambda x, n: x.flip(4 * (n // FAR)),
    "rolled dimension": lambda x, n: x.roll(1, 4 * (n // FAR)),
    "normalized dimension": lambda x, n: F.normalize(x, dim=4 * (n // FAR)),
    "whole numbers divided": lambda x, n: x + torch.ones(1, dtype=torch.long) // (n - 350),
    "whole numbers raised": lambda x, n: x + torch.ones(1, dtype=torch.long) ** (FAR - n),
    "one row in memory": lambda x, n: x if from_a_row(x, n).is_contiguous() else x[:, :, 1:],
    "view of one row": lambda x, n: x + from_a_row(x, n).view(1, -1).mean(),
    "indices of channels": lambda x, n: x[:, torch.full((4,), n // FAR * 4)],
    "indices that are written": lambda x, n: x.index_select(1, torch.arange(4).add_(n // FAR * 4)),
    "a number of copies": lambda x, n: x.repeat_interleave(1 - n // FAR, 1).repeat(1, 4 // (4 - 4 * (n // FAR)), 1, 1),
    "bias of attention": lambda x, n: attended(x, n, torch.zeros(11 + more(n))),
    "what is added to a product": lambda x, n: (
        torch.baddbmm(torch.zeros(1, more(n), 1), x.flatten(2), x.flatten(2).mT).mean() + x
    ),
    "read beside another call": read_beside_another_call,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_not_said_to_hold(name):
    report = check_sizes(Model(REFUSED[name]), sizes=(1, 2, 63, 64), other=64)
    model = Model(REFUSED[name]).eval()
    for size in SIZES:
        x = torch.zeros(1, 3, size, 3)
        try:
            holds = model(x).shape[2:] == x.shape[2:]
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError):
            holds = False
        assert report.axes[0].holds(size) in (None, holds), size


TAKEN = {
    "shifts": lambda x, n: x.roll((n // 2, x.shape[3] // 2), (2, 3)),
    "diagonal": lambda x, n: x.triu(n // 2),
    "whole numbers divided": lambda x, n: x + torch.ones(1, dtype=torch.long) // n,
    "type": lambda x, n: x.new_zeros(1, 1, n, 1).type_as(x) + x,
    "a row": lambda x, n: x + x[:, :, 0].unsqueeze(2),
    "limits": lambda x, n: F.hardtanh(x, 0, 6),
    "values": lambda x, n: torch.full(size=(1, 4, n, 1), fill_value=1.0) + x,
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_torch_always_takes_is_proved(name):
    report = check_sizes(Model(TAKEN[name]))
    assert report.verdict == "proved", str(report)
    assert report.always
