"""Encoders whose last stages dilate: the stride that was asked for, and the meaning that the weights had."""

import pytest
import torch
from torch import nn

from segup import create_model
from segup.encoders import create_encoder
from segup.errors import ConfigError

NAMES = [
    "efficientnet_lite0",
    "timm/resnet18",
    "timm/regnetx_002",
    "torchvision/resnet18",
    "torchvision/mobilenet_v3_small",
]


@pytest.mark.parametrize(("name", "stride"), [*((name, 16) for name in NAMES), ("timm/resnet18", 8)])
def test_every_second_pixel_is_what_it_was(name, stride):
    """À trous: each weight reads the pixels that it read before, so pretrained weights keep their meaning."""
    encoders = []
    for options in ({}, {"output_stride": stride}):
        torch.manual_seed(0)
        encoders.append(create_encoder(name, pretrained=False, **options).eval())
    usual, dilated = encoders
    for module in (*usual.modules(), *dilated.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.3)  # so that signals neither die nor explode
    assert dilated.strides == tuple(s for s in usual.strides if s <= stride)
    assert dilated.pyramid.proved
    factor = usual.strides[-1] // stride
    image = torch.rand(1, 3, 67, 45)
    with torch.no_grad():
        before, after = usual(image), dilated(image)
    expected, found = before[-1], after[-1][..., ::factor, ::factor]
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    for one, other in zip(before, after[:-1], strict=False):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("places", "stride", "strides"), [([2, 4], 16, (8, 16)), ([4], 8, (8,)), ([2, 3, 4], 16, (8, 16))]
)
def test_chosen_maps_stay_chosen(places, stride, strides):
    options = {"pretrained": False, "out_indices": places}
    usual, dilated = (
        create_encoder("efficientnet_lite0", **options, **more) for more in ({}, {"output_stride": stride})
    )
    assert dilated.strides == strides
    assert dilated.channels[-1] == usual.channels[-1]


def test_a_model_is_proved_and_saved_with_it(tmp_path):
    from segup.checkpoints import load_model, save_model

    model = create_model(
        "resnet18",
        "deeplabv3plus",
        preset="published",
        num_classes=3,
        pretrained=False,
        encoder_options={"output_stride": 16},
    ).eval()
    assert model.decoder.strides == (2, 4, 8, 16)
    assert model.decoder.first == 1
    assert model.verdict().proved
    image = torch.rand(1, 3, 67, 45)
    save_model(model, tmp_path / "m.ckpt")
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "m.ckpt")(image), model(image))


@pytest.mark.parametrize(
    ("name", "stride", "message"),
    [
        (
            "resnet18",
            12,
            r"output_stride=12 must divide 32, the stride of its last map\n  try: encoder.options.output_stride=8",
        ),
        ("resnet18", 0, "output_stride=0 must be an int of 1 or more"),
        ("segnet", 4, "has pooling indices, which cannot be dilated"),
        (
            "convnext_atto",
            16,
            "'stages_3.downsample.1' is a Conv2d of kernel 2 and stride 2, and odd convolutions alone",
        ),
        ("resnet18d", 16, "'layer4.0.downsample.0' is a AvgPool2d of kernel 2"),
        ("vit_tiny_patch16_224", 16, "has attention, which cannot be dilated"),
    ],
)
def test_what_cannot_be_dilated_is_refused_with_the_layer(name, stride, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder(name, pretrained=False, output_stride=stride)
