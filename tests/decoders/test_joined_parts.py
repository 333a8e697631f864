"""A join that is convolved part by part in training is what the joined map gives, values and gradients."""

import copy
from fractions import Fraction

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from segup.decoders import UNetBlock, create_decoder, list_decoders
from segup.decoders.blocks import _ENOUGH, conv_stack, convolved
from segup.decoders.contract import topology_class
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


class Convolved(TorchFunctionMode):
    """The input channels of every convolution that runs, whoever calls it."""

    def __init__(self):
        super().__init__()
        self.channels = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.conv2d, torch.conv_transpose2d):
            self.channels.append(args[0].shape[1])
        return func(*args, **(kwargs or {}))


def test_in_evaluation_the_first_convolution_runs_as_it_is():
    """So that norms are folded into it, and an exported program has no sliced weights."""
    block = UNetBlock(6, 4, 8, create_upsampler("nearest", 6, 6, kernel_size=None), apart=True)
    x, skip = torch.rand(1, 6, 40, 40), torch.rand(1, 4, 80, 80)
    with Convolved() as trained, FlopCounterMode(display=False):  # which hooks every module, and counts what runs
        block.train()(x, skip)
    with Convolved() as evaluated:
        block.eval()(x, skip)
    assert (trained.channels, evaluated.channels) == ([6, 4, 8], [10, 8])


def test_a_step_by_a_fraction_learns_part_by_part_too():
    """No transposed convolution repeats pixels 7/2 times; the resize and the convolution after it do."""
    torch.manual_seed(0)
    up, convs = create_upsampler("nearest", 4, 4, Fraction(7, 2), kernel_size=None), conv_stack(4, 5, 2).train()
    twin, x = copy.deepcopy(convs), torch.randn(1, 4, 32, 36)
    assert x[:, 0].numel() > _ENOUGH
    torch.testing.assert_close(convolved(convs, up, x, (112, 126)), twin(up(x, (112, 126))))


@pytest.mark.parametrize("final", ["nearest", "bilinear"])
@pytest.mark.parametrize("topology", [name for name in list_decoders() if topology_class(name).published])
def test_a_published_network_learns_on_a_pyramid_of_patches(topology, final):
    """Patches of 14 pixels: the step to the image is by 7/2."""
    strides = (Fraction(7, 2), 7, 14, 28)
    alone = {"kernel_size": None}
    decoder = create_decoder(topology, (4, 6, 8, 10), strides, preset="published", final=final, final_options=alone)
    maps = [torch.randn(2, c, *(int(n / s) for n in (112, 140))) for c, s in zip((4, 6, 8, 10), strides, strict=True)]
    for mode in (True, False):
        assert decoder.train(mode)(maps, (112, 140)).shape == (2, decoder.out_channels, 112, 140)
