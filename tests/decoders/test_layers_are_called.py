"""A decoder computes what its layers compute, in training as in evaluation: also where someone hooked or changed them.

Fast forms read weights and call no layer. So each layer is hooked here, one at a time, and changed in each way that a
fast form could miss.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from segup.decoders import create_decoder, list_decoders
from segup.decoders.blocks import _ENOUGH, ConvNormAct
from segup.decoders.contract import topology_class
from segup.decoders.steps import Climb, Encoded
from segup.upsamplers import Nearest

STRIDES, CHANNELS, SIZE = (2, 4, 8), (4, 6, 8), (160, 160)
ALONE = {"upsampler": "bilinear", "upsampler_options": {"kernel_size": None}}
LISTS = (nn.ModuleList, Climb)  # what they hold is called
FORMS = [
    (topology, options)
    for topology in list_decoders()
    for options in ({}, ALONE, {"preset": "published"})
    if "preset" not in options or topology_class(topology).published
]


def decoder_of(topology, widths, **options):
    torch.manual_seed(0)
    kind, narrow = topology_class(topology), widths(topology, STRIDES)
    before = kind.filled(options).get("head") == "before"  # then there is no width of the step to the image
    classes = {"num_classes": 3} if kind.gives_scores or before else {}
    return create_decoder(topology, CHANNELS, STRIDES, widths=narrow[:-1] if before else narrow, **classes, **options)


@pytest.mark.parametrize(("topology", "options"), FORMS, ids=str)
def test_a_hook_on_any_layer_is_called_in_training_and_in_evaluation(topology, options, pyramid, small_widths):
    decoder = decoder_of(topology, small_widths, **options)
    maps, called = pyramid(SIZE, STRIDES, CHANNELS, batch=2), []
    assert maps[1][:, 0].numel() > _ENOUGH
    paths = [path for path, layer in decoder.named_modules() if path and not isinstance(layer, LISTS)]
    for path in paths:
        handle = decoder.get_submodule(path).register_forward_hook(lambda *_, path=path: called.append(path))
        for mode in (True, False):
            called.clear()
            decoder.train(mode)(maps, SIZE)
            assert path in called, f"{path} was not called, training={mode}"
        handle.remove()


class Adapted(nn.Conv2d):
    """The convolution and a second one of low rank beside it, as LoRA has it."""

    def __init__(self, conv):
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)
        self.down, self.up = nn.Conv2d(conv.in_channels, 1, 1), nn.Conv2d(1, conv.out_channels, 1)

    def forward(self, x):
        return super().forward(x) + self.up(self.down(x))


def convolution(conv, **changes):
    kept = {"padding": conv.padding, "bias": conv.bias is not None}
    return nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, **{**kept, **changes})


def doubled(conv):
    conv.register_forward_hook(lambda _, args, y: 2 * y)
    return conv


def reflecting(conv):
    return convolution(conv, padding_mode="reflect")


CHANGES = {
    "hook": doubled,
    "subclass": Adapted,
    "another layer": lambda conv: nn.Sequential(convolution(conv), nn.Tanh()),
    "pruned": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "parametrized": parametrizations.weight_norm,
    "reflecting": reflecting,
    "a bias, or none": lambda conv: convolution(conv, bias=conv.bias is None),
    "dilated": lambda conv: convolution(conv, dilation=2, padding=2 * conv.padding[0]),
    "of another size": lambda conv: nn.Conv2d(conv.in_channels, conv.out_channels, 5, padding=2, bias=False),
    "grouped": lambda conv: convolution(conv, groups=2),
}
PLACES = {
    "unet": ("blocks.0.convs.0.0", "blocks.1.convs.0.0", "final_act.0.0"),
    "segformer": ("linears.0", "linears.2", "mix.0"),
}


def as_the_layers_say(decoder, maps):
    """The scores or maps of a published decoder, layer by layer."""
    y = maps[-1]
    if decoder.name == "unet":
        for block, skip in zip(decoder.blocks, maps[-2::-1], strict=True):
            y = block.convs(torch.cat((F.interpolate(y, scale_factor=2), skip), dim=1))
        return decoder.final_act(F.interpolate(y, scale_factor=2))
    parts = []
    for level, (layer, one) in enumerate(zip(decoder.linears, maps, strict=True)):
        part = layer(one)
        for _ in range(level):
            part = F.interpolate(part, scale_factor=2, mode="bilinear")
        parts.append(part)
    return decoder.finish(decoder.mix(torch.cat(parts, dim=1)), SIZE, Encoded(maps))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("topology", "path"), [(name, path) for name, paths in PLACES.items() for path in paths])
def test_a_changed_layer_computes_what_it_says(topology, path, change, pyramid, small_widths):
    decoder = decoder_of(topology, small_widths, preset="published")
    above, _, name = path.rpartition(".")
    setattr(decoder.get_submodule(above), name, CHANGES[change](decoder.get_submodule(path)))
    maps = [m.double() for m in pyramid(SIZE, STRIDES, CHANNELS, batch=2)]
    for mode in (True, False):
        decoder = decoder.double().train(mode)
        torch.testing.assert_close(decoder(maps, SIZE), as_the_layers_say(decoder, maps), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("topology", PLACES)
def test_pruned_layers_learn_and_keep_their_zeros(topology, pyramid, small_widths):
    decoder = decoder_of(topology, small_widths, preset="published").train()
    convs = [decoder.get_submodule(path) for path in PLACES[topology]]
    for conv in convs:
        prune.l1_unstructured(conv, "weight", 0.5)
    optimizer = torch.optim.SGD(decoder.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        decoder(pyramid(SIZE, STRIDES, CHANNELS, batch=2), SIZE).square().mean().backward()
        optimizer.step()
    decoder(pyramid(SIZE, STRIDES, CHANNELS, batch=2), SIZE)
    for conv in convs:
        assert bool((conv.weight == conv.weight_orig * conv.weight_mask).all())
        assert 0 < int((conv.weight == 0).sum()) == int((conv.weight_mask == 0).sum())


class Doubling(Nearest):
    def upsample(self, x):
        return 2 * super().upsample(x)


class Halved(ConvNormAct):
    def forward(self, x):
        return super().forward(x) / 2


@pytest.mark.parametrize("part", ["blocks.1.up", "blocks.1.convs.0", "mix", "climbs.0.ups.1"])
def test_a_changed_part_computes_what_it_says(part, pyramid, small_widths):
    """Operators and blocks of layers as well as the layers."""
    topology = "unet" if part.startswith("blocks") else "segformer"
    decoder = decoder_of(topology, small_widths, preset="published").double().train()
    module = decoder.get_submodule(part)
    if part == "climbs.0.ups.1":  # no linear map, which would commute with the mixture
        module.register_forward_hook(lambda _, args, y: y.square())
    else:
        module.__class__ = Doubling if part.endswith("up") else Halved
    maps = [m.double() for m in pyramid(SIZE, STRIDES, CHANNELS, batch=2)]
    made, twin = decoder(maps, SIZE), copy.deepcopy(decoder)
    assert torch.equal(twin(maps, SIZE), made)
    if topology == "unet":
        for block in twin.blocks:
            block.apart = False
    else:
        twin._mixed = twin._joined
    torch.testing.assert_close(made, twin(maps, SIZE), atol=1e-10, rtol=1e-10)
