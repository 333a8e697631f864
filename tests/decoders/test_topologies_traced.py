"""Every topology as one graph with dynamic height and width: the sizes and values of eager mode at sizes not traced."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from segup.decoders import create_decoder, list_decoders

CHANNELS = (3, 4, 5)
AT_ONCE = ("unet", "fcn", "duc")  # the quickest to trace; the others take some 30 s together
TOPOLOGIES = [name if name in AT_ONCE else pytest.param(name, marks=pytest.mark.slow) for name in list_decoders()]
SIZES = ((17, 18), (33, 31), (9, 47))


class Tiny(nn.Module):
    """Three maps at strides 2, 4 and 8, each rounded up, and a decoder."""

    def __init__(self, decoder):
        super().__init__()
        ins = (2, *CHANNELS[:-1])
        self.stages = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in zip(ins, CHANNELS, strict=True))
        self.decoder = decoder

    def forward(self, image):
        maps, x = [], image
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.decoder(maps, image.shape[-2:])


class PixelNorm(nn.LayerNorm):
    """Over the channels of each pixel, as ConvNeXt has it: the maps come out with channels last."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def tiny(topology, small_widths):
    torch.manual_seed(0)
    widths = small_widths(topology, (2, 4, 8))
    return Tiny(create_decoder(topology, CHANNELS, (2, 4, 8), upsampler="deconv", widths=widths)).eval()


def same(model, traced, sizes=SIZES):
    for size in sizes:
        image = torch.rand(2, 2, *size)
        with torch.no_grad():
            expected, got = model(image), traced(image)
        assert got.shape[-2:] == size
        assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_compiled(topology, small_widths):
    torch._dynamo.reset()
    model = tiny(topology, small_widths)
    same(model, torch.compile(model, backend="eager", dynamic=True, fullgraph=True))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_exported(topology, small_widths):
    """From 9 on: torch.export takes a size of 1 for a constant, and up to 8 the last map has one row."""
    model = tiny(topology, small_widths)
    sizes = {2: Dim("height", min=9, max=512), 3: Dim("width", min=9, max=512)}
    exported = torch.export.export(model, (torch.rand(2, 2, 37, 50),), dynamic_shapes=(sizes,))
    same(model, exported.module())
    with pytest.raises(AssertionError, match="Guard failed"):
        exported.module()(torch.rand(2, 2, 8, 40))


def test_exported_with_maps_of_another_layout(small_widths):
    model = tiny("unet", small_widths)
    model.stages = nn.ModuleList(
        nn.Sequential(nn.Conv2d(i, o, 2, 2), PixelNorm(o)) for i, o in zip((2, 3, 4), CHANNELS, strict=True)
    )
    sizes = {2: Dim("height", min=16, max=512), 3: Dim("width", min=16, max=512)}
    exported = torch.export.export(model, (torch.rand(2, 2, 37, 50),), dynamic_shapes=(sizes,))
    same(model, exported.module(), ((17, 18), (33, 31), (16, 47)))
