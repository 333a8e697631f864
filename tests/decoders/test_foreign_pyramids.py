"""Blocks and decoders take plain ints: pyramids of timm, torchvision and SMP go in as they are."""

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor

from segup.decoders import UNetBlock, create_decoder

SIZE = (67, 45)


def test_a_timm_pyramid():
    body = timm.create_model("resnet18", features_only=True, pretrained=False).eval()
    decoder = create_decoder(
        "fpn", body.feature_info.channels(), body.feature_info.reduction(), upsampler="dysample", widths=[16, 8, 8]
    ).eval()
    with torch.no_grad():
        assert decoder(body(torch.rand(2, 3, *SIZE)), size=SIZE).shape == (2, 8, *SIZE)


def test_a_torchvision_pyramid():
    network = torchvision.models.resnet18(weights=None).eval()
    body = create_feature_extractor(network, {f"layer{level}": str(level) for level in range(1, 5)})
    decoder = create_decoder(
        "segformer", channels=[64, 128, 256, 512], strides=[4, 8, 16, 32], upsampler="carafe", widths=[16, 8]
    ).eval()
    with torch.no_grad():
        assert decoder(list(body(torch.rand(2, 3, *SIZE)).values()), size=SIZE).shape == (2, 8, *SIZE)


def test_an_smp_pyramid():
    """Its first map is the image itself, at stride 1; its efficientnet rounds down where timm's rounds up."""
    body = smp.encoders.get_encoder("efficientnet-b0", weights=None, depth=5).eval()
    decoder = create_decoder(
        "unet", list(body.out_channels), [2**level for level in range(6)], upsampler="deconv", widths=[8] * 5
    ).eval()
    with torch.no_grad():
        maps = body(torch.rand(2, 3, *SIZE))
        assert [m.shape[-2] for m in maps] == [67, 33, 16, 8, 4, 2]
        assert decoder(maps, size=SIZE).shape == (2, 8, *SIZE)


def test_a_block_in_a_model_of_ones_own():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.high = torch.nn.Conv2d(3, 8, 3, padding=1)
            self.low = torch.nn.Conv2d(8, 16, 3, stride=3, padding=1)
            self.up = UNetBlock(in_channels=16, skip_channels=8, out_channels=4, upsampler="sapa", scale=3)

        def forward(self, x):
            high = self.high(x)
            return self.up(self.low(high), high)

    assert Own()(torch.rand(2, 3, *SIZE)).shape == (2, 4, *SIZE)
