"""The published networks: as many parameters and multiply-accumulates as segmentation_models_pytorch's, and its values.

Both decoders stand on the maps of one encoder, without it: a whole network's encoder would hide what differs.
"""

import pytest
import segmentation_models_pytorch as smp
import torch
from groups import group
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segup import create_model
from segup.decoders import create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.decoders.costs import Maps, cost_of, without_memory
from segup.errors import ConfigError
from segup.shapes import Cost
from segup.training.build import model_names
from segup.training.config import RunConfig
from segup.training.run_folder import _parent
from segup.upsamplers.contract import operator_class

IMAGE, CLASSES = (256, 320), 19
CHANNELS, STRIDES = (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)
THEIRS = {
    "unet": (smp.Unet, CHANNELS, STRIDES),
    "fpn": (smp.FPN, CHANNELS, STRIDES),
    "linknet": (smp.Linknet, CHANNELS, STRIDES),
    "deeplabv3plus": (smp.DeepLabV3Plus, (64, 64, 128, 512), (2, 4, 8, 16)),
    "upernet": (smp.UPerNet, CHANNELS, STRIDES),
    "pspnet": (smp.PSPNet, (64, 64, 128), (2, 4, 8)),
}
PUBLISHED = [*THEIRS, "segformer"]


def their_cost(topology):
    """What decoder and head of segmentation_models_pytorch cost on maps without values."""
    with torch.device("meta"):
        if topology == "segformer":  # the paper's four maps; on a ResNet, theirs takes the map of stride 2 too
            decoder, head = SegformerDecoder([3, 0, *CHANNELS[1:]]), SegmentationHead(256, CLASSES, 1, upsampling=4)
            shapes = zip((3, 0, *CHANNELS[1:]), (1, 2, 4, 8, 16, 32), strict=True)
        else:
            network = THEIRS[topology][0]("resnet18", encoder_weights=None, classes=CLASSES)
            decoder, head = network.decoder, network.segmentation_head
            strides = (1, 2, 4, 8, 16, 16) if topology == "deeplabv3plus" else (1, *STRIDES)
            shapes = zip(network.encoder.out_channels, strides, strict=False)
        maps = [torch.empty(1, count, *(side // stride for side in IMAGE)) for count, stride in shapes]
        parts = nn.ModuleList([decoder, head]).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert head(decoder(maps)).shape == (1, CLASSES, *IMAGE)
    return Cost(sum(p.numel() for p in parts.parameters()), counter.get_total_flops() // 2)


def our_cost(topology, **options):
    """What decoder and head cost, the head counted by hand where it stands outside."""
    _, channels, strides = THEIRS.get(topology, (None, CHANNELS, STRIDES))
    maps = Maps(channels, strides, tuple((IMAGE[0] // s, IMAGE[1] // s) for s in strides), IMAGE)
    inside = topology not in ("unet", "linknet")
    classes = {"num_classes": CLASSES} if inside else {}
    decoder = without_memory(topology, maps, preset="published", **classes, **options)
    kernel = 0 if inside else decoder.head_kernel_size**2 * decoder.out_channels * CLASSES
    return cost_of(decoder, maps) + Cost(kernel + (0 if inside else CLASSES), kernel * IMAGE[0] * IMAGE[1])


@pytest.mark.parametrize("topology", PUBLISHED)
def test_parameters_and_multiply_accumulates_are_the_published_ones(topology):
    theirs, ours = their_cost(topology), our_cost(topology)
    assert ours.parameters == pytest.approx(theirs.parameters, rel=0.001)  # LayerNorms and one BatchNorm
    if topology == "segformer":  # layer and mixture are one convolution of each map, before it is brought up
        pixels = [IMAGE[0] * IMAGE[1] // stride**2 for stride in STRIDES[1:]]
        layers = sum(256 * count * low for count, low in zip(CHANNELS[1:], pixels, strict=True))
        scores, product = 256 * CLASSES * pixels[0], 256 * 256 * sum(CHANNELS[1:])
        assert theirs.macs == layers + 4 * 256 * 256 * pixels[0] + scores
        assert ours.macs == layers + product + scores
    else:
        assert ours.macs == theirs.macs


@pytest.mark.parametrize(("topology", "theirs"), [("unet", smp.Unet), ("linknet", smp.Linknet)])
def test_with_the_same_weights_the_published_network_makes_the_same_values(topology, theirs):
    """Where theirs has no align_corners=True and no GroupNorm, it is the same function, weight by weight."""
    torch.manual_seed(0)
    encoder = smp.encoders.get_encoder("resnet18", weights=None).eval()
    network = theirs("resnet18", encoder_weights=None, classes=5)
    ours = create_decoder(topology, encoder.out_channels[1:], STRIDES, preset="published")
    head = ours.classifier(ours.out_channels, 5)
    own = nn.ModuleList([ours, head])
    pairs = zip(
        own.state_dict().values(),
        nn.ModuleList([network.decoder, network.segmentation_head]).state_dict().items(),
        strict=True,
    )
    by_name = dict(zip(own.state_dict(), (value for _, (_, value) in pairs), strict=True))
    own.load_state_dict(by_name)
    maps = encoder(torch.rand(2, 3, 64, 96))
    own.eval(), network.eval()
    with torch.no_grad():
        expected = network.segmentation_head(network.decoder(maps))
        assert torch.allclose(head(ours(maps[1:], (64, 96))), expected, atol=1e-5)


@pytest.mark.parametrize("topology", PUBLISHED)
def test_what_is_given_is_not_filled_in(topology):
    kind = topology_class(topology)
    free = kind.filled({"preset": "published"})
    swapped = kind.filled({"preset": "published", "upsampler": "dysample", "final": "bicubic", "convs": 3})
    assert (swapped["upsampler"], swapped["upsampler_options"], swapped["convs"]) == ("dysample", {}, 3)
    assert (swapped["final"], swapped["final_options"]) == ("bicubic", {})
    own = {"upsampler", "upsampler_options", "final", "final_options", "convs"}
    assert {k: v for k, v in free.items() if k not in own} == {k: v for k, v in swapped.items() if k not in own}
    assert kind.filled({}) == kind.filled({"preset": None, "upsampler": None, "upsampler_options": {}})


@pytest.mark.parametrize("topology", PUBLISHED)
@pytest.mark.parametrize("upsampler", ["dysample", "fade"])
def test_the_operator_is_swapped_and_all_else_stays(topology, upsampler):
    _, channels, strides = THEIRS.get(topology, (None, CHANNELS, STRIDES))
    with torch.device("meta"):
        plain, swapped = (
            create_decoder(topology, channels, strides, preset="published", upsampler=name)
            for name in (None, upsampler)
        )
    between = [up for _, high, up in swapped.steps() if high is not None]
    assert between
    assert all(isinstance(up, operator_class(upsampler)) for up in between)
    assert {step[:2] for step in plain.steps()} == {step[:2] for step in swapped.steps()}
    assert type(plain.final) is type(swapped.final)
    assert plain.final.label() == swapped.final.label()

    def others(decoder):
        steps = tuple(
            f"{path}." for path, part in decoder.named_modules() if any(part is up for *_, up in decoder.steps())
        )
        return {name: p.shape for name, p in decoder.named_parameters() if not name.startswith(steps)}

    assert others(plain) == others(swapped)


@pytest.mark.parametrize("topology", sorted(set(list_decoders()) - set(PUBLISHED)))
def test_a_topology_without_a_published_form_says_which_have_one(topology):
    message = (
        f"topology '{topology}' has no preset 'published'; those that have are deeplabv3plus, fpn, .*\n  try: decod"
    )
    with pytest.raises(ConfigError, match=message):
        create_decoder(topology, CHANNELS, STRIDES, preset="published")


def test_a_model_by_its_preset_is_built_again_from_its_names(tmp_path):
    from segup.checkpoints import load_model, save_model

    torch.manual_seed(0)
    model = create_model(
        "segnet", "fpn", preset="published", num_classes=3, pretrained=False, encoder_options={"widths": [4, 6, 8]}
    ).eval()
    assert (model.spec["upsampler"], model.decoder.upsampler) == (None, "bilinear")
    save_model(model, tmp_path / "m.ckpt")
    image = torch.rand(1, 3, 37, 29)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "m.ckpt")(image), model(image))
    assert create_model("segnet", num_classes=3, pretrained=False).spec["upsampler"] == "deconv"


def test_the_words_of_the_command_line_name_the_same_networks():
    def names(word, **changes):
        config = RunConfig.of({"encoder": {"name": "segnet"}, "decoder": group("decoder", word, **changes)})
        return config, model_names(config, num_classes=3, in_channels=3)

    config, free = names("published", topology="linknet")
    assert (free["upsampler"], free["preset"]) == (None, "published")
    assert not {"final", "widths", "convs", "head"} & set(free)
    assert _parent(config).name == "published"
    config, swapped = names("dysample", topology="linknet", preset="published")
    assert (swapped["upsampler"], swapped["upsampler_options"]["style"]) == ("dysample", "lp")
    assert _parent(config).name == "dysample"
    filled = [topology_class("linknet").filled(given) for given in (free, swapped)]
    assert [one["final"] for one in filled] == ["deconv", "deconv"]
    with pytest.raises(ConfigError, match=r"decoder.upsampler is not set: give decoder.upsampler=\.\.\."):
        names("published", preset=None)
