"""Whole models as one program with dynamic height and width: sizes and values of eager mode, and a refusal beyond."""

import pytest
import torch
from old_torch import OLD
from torch.export import Dim

from segup import create_model
from segup.decoders import list_decoders
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

LEAST = 64  # from there on every map of these encoders has two rows: torch.export takes a size of 1 for a constant
WITHOUT_INDICES = [name for name in list_upsamplers() if "indices" not in operator_class(name).requires]
ENCODERS = [
    "efficientnet_lite0",
    "vgg11_bn",
    "convnext_atto",
    "densenet121",
    "pvt_v2_b0",
    "torchvision/mobilenet_v3_small",
]


def check_exported(**names):
    torch.manual_seed(0)
    model = create_model(**names, num_classes=3, pretrained=False).eval()
    sizes = {2: Dim("height", min=LEAST, max=1024), 3: Dim("width", min=LEAST, max=1024)}
    exported = torch.export.export(model, (torch.rand(2, 3, 75, 101),), dynamic_shapes=(sizes,)).module()
    for size in ((75, 101), (LEAST, LEAST), (65, 97), (130, 66)):
        image = torch.rand(2, 3, *size)
        with torch.no_grad():
            expected, got = model(image), exported(image)
        assert got.shape == (2, 3, *size)
        assert torch.allclose(got, expected, atol=1e-4)
    with pytest.raises(AssertionError, match="Guard failed"):
        exported(torch.rand(2, 3, LEAST - 1, 96))


@OLD
def test_a_whole_model():
    small = {"widths": [4, 6, 8, 8, 8], "convs": 1}
    check_exported(encoder="segnet", topology="unet", upsampler="deconv_matched", encoder_options=small)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder(encoder):
    check_exported(encoder=encoder, topology="unet", upsampler="deconv")


@pytest.mark.slow
@pytest.mark.parametrize("topology", list_decoders())
def test_every_topology(topology):
    check_exported(encoder="convnext_atto", topology=topology, upsampler="deconv")


@pytest.mark.slow
@pytest.mark.parametrize("upsampler", WITHOUT_INDICES)
def test_every_operator(upsampler):
    check_exported(encoder="resnet18", topology="unet", upsampler=upsampler)


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["unet", "plain"])
def test_unpooling(topology):
    check_exported(encoder="segnet", topology=topology, upsampler="max_unpool")
