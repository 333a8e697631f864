"""Mixed precision on a CPU: which convolutions stay in float32, and that nothing else changes."""

import itertools

import pytest
import torch
from torch import nn

from segup.training.bfloat16 import GroupedInFloat32, grouped_in_float32

SLOW = [
    nn.Conv2d(8, 8, 5, padding=2, groups=8),
    nn.Conv2d(8, 8, 3, stride=2, groups=8),
    nn.Conv2d(8, 8, (3, 1), groups=8),
    nn.Conv2d(8, 16, 3, dilation=(1, 2), groups=4, bias=False),
    nn.Conv2d(8, 8, 7, padding="same", groups=2),
    nn.ConvTranspose2d(8, 8, 3, groups=8),
    nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, output_padding=1, groups=4),
]
FAST = [
    nn.Conv2d(8, 8, 3, padding=1, groups=8),
    nn.Conv2d(8, 8, 5, stride=2),
    nn.ConvTranspose2d(8, 8, 4, stride=2),
    nn.Linear(9, 9),
]


def mixed(layer, x, context):
    with context, torch.autocast("cpu", torch.bfloat16):
        return layer(x)


@pytest.mark.parametrize("layer", SLOW, ids=str)
def test_a_slow_one_is_computed_in_float32_and_gives_bfloat16(layer):
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = mixed(layer, x, GroupedInFloat32())
    exact = layer(x)
    torch.testing.assert_close(y, exact.bfloat16(), rtol=0, atol=0)
    given = torch.autograd.grad(y.float().sum(), [x, *layer.parameters()])
    wanted = torch.autograd.grad(exact.sum(), [x, *layer.parameters()])
    torch.testing.assert_close(given, wanted, rtol=0, atol=0)  # gradients of ones are exact in bfloat16


@pytest.mark.parametrize("layer", FAST, ids=str)
def test_others_are_left_to_autocast(layer):
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mixed(layer, x, GroupedInFloat32()), mixed(layer, x, grouped_in_float32("16", x.device)))


@pytest.mark.parametrize("layer", [*SLOW, *FAST], ids=str)
def test_nothing_changes_without_autocast(layer):
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    with GroupedInFloat32():
        assert torch.equal(layer(x), layer(x))
        assert layer(x).dtype == torch.float32


def test_it_is_entered_for_bfloat16_on_a_cpu_alone():
    devices, precisions = ("cpu", "cuda", "meta"), ("bf16-mixed", "16-mixed", "32-true")
    entered = [
        (device, precision)
        for device, precision in itertools.product(devices, precisions)
        if isinstance(grouped_in_float32(precision, torch.device(device)), GroupedInFloat32)
    ]
    assert entered == [("cpu", "bf16-mixed")]
