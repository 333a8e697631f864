"""A join that is convolved part by part in training is what the joined map gives, values and gradients."""

import copy

import pytest
import torch
from torch import nn

from segup.decoders import UNetBlock, create_decoder
from segup.decoders.blocks import _ENOUGH
from segup.upsamplers import create_upsampler

STRIDES, CHANNELS = (2, 4, 8), (4, 6, 8)


def gradients(module, inputs, y):
    return torch.autograd.grad(y.square().mean(), [*inputs, *module.parameters()])


@pytest.mark.parametrize("upsampler", [None, "dysample", "freqfusion"])
@pytest.mark.parametrize("size", [(192, 192), (189, 187)])
def test_the_published_unet_learns_the_same_part_by_part(upsampler, size, pyramid):
    """At a size that nothing corrects, where repeated pixels are never made; and at one where a step cuts a row."""
    torch.manual_seed(0)
    decoder = create_decoder("unet", CHANNELS, STRIDES, preset="published", upsampler=upsampler).double().train()
    plain = copy.deepcopy(decoder)
    plain.published_end = False
    for block in plain.blocks:
        block.apart = False
    maps = [m.double().requires_grad_() for m in pyramid(size, STRIDES, CHANNELS)]
    assert maps[1][:, 0].numel() > _ENOUGH > maps[2][:, 0].numel()
    ours, expected = decoder(maps, size), plain(maps, size)
    assert torch.allclose(ours, expected, atol=1e-10)
    for one, other in zip(gradients(decoder, maps, ours), gradients(plain, maps, expected), strict=True):
        assert torch.allclose(one, other, atol=1e-10, rtol=1e-7)


def test_in_evaluation_the_first_convolution_runs_as_it_is():
    """So that norms are folded into it, and an exported program has no sliced weights."""
    block = UNetBlock(6, 4, 8, create_upsampler("nearest", 6, 6, kernel_size=None), apart=True)
    ran = []
    block.convs[0][0].register_forward_hook(lambda conv, args, y: ran.append(args[0].shape))
    x, skip = torch.rand(1, 6, 40, 40), torch.rand(1, 4, 80, 80)
    before = block.train()(x, skip)
    assert ran == []
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    assert block.eval()(x, skip).shape == before.shape
    assert ran == [(1, 10, 80, 80)]
