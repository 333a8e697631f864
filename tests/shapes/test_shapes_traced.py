"""The calculus inside compiled and exported modules: sizes stay symbolic there."""

import pytest
import torch
from torch import nn

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize

LAYERS = [Conv(3, 2, 1), Pool(3, 2, 1, ceil_mode=True), ConvTranspose(4, 2, 1), Resize(2), PixelShuffle(2)]


class Sized(nn.Module):
    """Return zeros of the size that the calculus gives for the input's height and width."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        height, width = self.layer.out(x.shape[-2:])
        return x.new_zeros(height, width) + x.sum()


class Matched(nn.Module):
    """Refuse a size that a transposed convolution built on the spot does not reach."""

    def forward(self, x, skip):
        up = ConvTranspose(3, stride=2, padding=1)
        if not up.reaches(x.shape[-1], skip.shape[-1]):
            raise ValueError("out of reach")
        return x.sum() + skip


@pytest.mark.parametrize("layer", [*LAYERS, Chain(LAYERS)], ids=str)
def test_an_exported_module_keeps_its_sizes_open(layer):
    sizes = {0: torch.export.Dim("height", min=9, max=4096), 1: torch.export.Dim("width", min=9, max=4096)}
    program = torch.export.export(Sized(layer), (torch.zeros(17, 20),), dynamic_shapes=(sizes,), strict=False).module()
    for size in ((9, 9), (31, 64), (100, 33)):
        assert program(torch.zeros(size)).shape == layer.out(size)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_compiled_module_is_traced_whole(layer):
    torch._dynamo.reset()
    compiled = torch.compile(Sized(layer), fullgraph=True, dynamic=True, backend="eager")
    for size in ((9, 10), (31, 64)):
        assert compiled(torch.zeros(size)).shape == layer.out(size)


def test_reaches_on_symbolic_sizes():
    torch._dynamo.reset()
    compiled = torch.compile(Matched(), fullgraph=True, dynamic=True, backend="eager")
    assert compiled(torch.zeros(1, 17), torch.zeros(1, 33)).shape == (1, 33)
    program = torch.export.export(
        Matched(),
        (torch.zeros(1, 17), torch.zeros(1, 33)),
        dynamic_shapes=({1: torch.export.Dim.DYNAMIC}, {1: torch.export.Dim.DYNAMIC}),
        strict=False,
    ).module()
    assert program(torch.zeros(1, 20), torch.zeros(1, 40)).shape == (1, 40)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(torch.zeros(1, 20), torch.zeros(1, 41))
