"""What a decoder is counted to cost without memory is what the built one has and does."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from segup.decoders import create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.decoders.costs import Maps, cost_of, without_memory
from segup.errors import ConfigError
from segup.shapes import Conv, ConvTranspose, Cost, cost
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

SCALES = [(1, 2, 4), (2, 4, 8, 16), (4, 8, 16, 32), (2, 4, 8, 16, 32)]
MAPS = Maps((8, 16, 24), (2, 4, 8), ((17, 23), (9, 12), (5, 6)), (33, 45))
FITTING = [
    (topology, upsampler)
    for topology in list_decoders()
    for upsampler in list_upsamplers()
    if not operator_class(upsampler).requires & topology_class(topology).lacks
]


@st.composite
def pyramids(draw):
    strides = draw(st.sampled_from(SCALES))
    image = draw(st.tuples(st.integers(33, 70), st.integers(33, 70)))
    channels = tuple(draw(st.integers(2, 12)) * 4 for _ in strides)
    sizes = tuple((-(-image[0] // stride), -(-image[1] // stride)) for stride in strides)
    return Maps(channels, strides, sizes, image)


def convolved(decoder, maps):
    """Count what the convolutions of a real decoder do, by the size calculus, as they are called."""
    found = []

    def hook(layer, args, result):
        kind = ConvTranspose if isinstance(layer, nn.ConvTranspose2d) else Conv
        options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        rule = kind(layer.kernel_size, **options)
        size, bias = tuple(args[0].shape[-2:]), layer.bias is not None
        found.append(cost(rule, size, layer.in_channels // layer.groups, layer.out_channels, bias=bias))

    layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    decoder([torch.zeros(1, c, *size) for c, size in zip(maps.channels, maps.sizes, strict=True)], maps.image)
    for handle in handles:
        handle.remove()
    norms = sum(p.numel() for m in decoder.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    return sum(found, Cost(norms, 0))


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("topology", list_decoders())
@pytest.mark.parametrize("upsampler", ["bilinear", "pixel_shuffle", "deconv"])
def test_the_cost_is_that_of_its_layers_by_the_size_calculus(topology, upsampler, data):
    maps = data.draw(pyramids())
    options = {"num_classes": 3} if topology_class(topology).gives_scores else {}
    built = create_decoder(topology, maps.channels, maps.strides, upsampler=upsampler, **options).eval()
    assert cost_of(without_memory(topology, maps, upsampler=upsampler, **options), maps) == convolved(built, maps)


@pytest.mark.parametrize(("topology", "upsampler"), FITTING)
def test_the_parameters_are_those_of_the_built_decoder_and_its_widths_are_its_own(topology, upsampler):
    light = without_memory(topology, MAPS, upsampler=upsampler)
    built = create_decoder(topology, MAPS.channels, MAPS.strides, upsampler=upsampler, widths=light.widths or None)
    assert all(p.is_meta for p in light.parameters())
    assert cost_of(light, MAPS).parameters == sum(p.numel() for p in built.parameters())
    assert [tuple(p.shape) for p in light.parameters()] == [tuple(p.shape) for p in built.parameters()]
    assert cost_of(light, MAPS).macs > 0 or upsampler == "bilinear_additive"
    assert torch.get_default_device().type == "cpu"


def test_what_the_decoder_refuses_is_refused():
    with pytest.raises(ConfigError, match=r"decoder.widths=\[8\] must have one width for each step: 3"):
        without_memory("unet", MAPS, upsampler="deconv", widths=[8])
    with pytest.raises(ConfigError, match="style='pl' shuffles channels"):
        without_memory("unet", MAPS, upsampler="dysample", widths=[9, 9, 9], upsampler_options={"style": "pl"})
