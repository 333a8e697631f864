"""Every operator, topology and neck exports to one file for all sizes; each runs beside torch at the checked sizes."""

import pytest
import torch

from segup.decoders import list_decoders
from segup.encoders import Encoder, encoders
from segup.errors import DataError
from segup.export import export_model, open_exported
from segup.export.program import exported_program
from segup.models import create_model
from segup.necks import list_necks
from segup.upsamplers import list_upsamplers

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
pytestmark = pytest.mark.slow
SMALL = {"encoder": "segnet", "encoder_options": {"widths": [4, 6, 8], "convs": 1}}
VIT = {"encoder": "timm/test_vit", "upsampler": "deconv"}
PARTS = [
    *({**SMALL, "upsampler": name} for name in list_upsamplers()),
    *({**SMALL, "topology": name, "upsampler": "deconv"} for name in list_decoders() if name != "unet"),
    *({**VIT, "neck": name} for name in list_necks() if name != "none"),
    {**VIT, "neck": "none", "topology": "plain"},
    {"encoder": "timm/test_efficientnet", "upsampler": "deconv_matched"},
    {"encoder": "timm/test_convnext", "upsampler": "bilinear"},
]


def title(part):
    return "-".join(str(value) for key, value in part.items() if key != "encoder_options")


@pytest.mark.parametrize("part", PARTS, ids=title)
def test_a_part_is_exported(part, tmp_path):
    torch.manual_seed(0)
    model = create_model(**part, num_classes=3, pretrained=False).eval()
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1), norm.running_var.uniform_(0.5, 1.5)
    written = export_model(model, tmp_path / "model.onnx")
    exported = open_exported(written.path)
    for size in ((75, 101), (2, 3), (31, 1), (17, 64), (48, 33)):
        image = torch.rand(2, 3, *size)
        with torch.no_grad():
            expected = model(image)
        assert (exported(image) - expected).abs().max() <= 1e-4 * max(1, expected.abs().max()), size


@pytest.mark.parametrize("name", ["anyup", "freqfusion", "jbu", "naf", "uplift"])
def test_the_program_of_another_topology_takes_one_image_of_one_pixel(name):
    model = create_model(**SMALL, topology="segformer", upsampler=name, num_classes=3, pretrained=False).eval()
    program = exported_program(model).module()
    for size in ((1, 1), (9, 26)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(image), model(image), atol=1e-4, rtol=0)


class Tied(torch.nn.Module):
    """A body with an embedding for each position, that takes one size alone."""

    def __init__(self, in_channels):
        super().__init__()
        self.high, self.low = torch.nn.Conv2d(in_channels, 8, 4, 4), torch.nn.Conv2d(8, 12, 2, 2)
        self.position = torch.nn.Parameter(torch.randn(1, 8, 8, 8))

    def forward(self, x):
        high = self.high(x) + self.position
        return [high, self.low(high)]


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_an_encoder_of_one_size_takes_smaller_images_and_windows_and_fails_at_larger_ones(
    suffix, tmp_path, monkeypatch
):
    monkeypatch.setitem(encoders._parts, "tied", tied)
    model = create_model("tied", num_classes=3, pretrained=False).eval()
    exported = open_exported(export_model(model, tmp_path / f"model.{suffix}").path, trust=True)
    assert exported.about["most"] == 32
    for size in ((1, 1), (32, 9), (50, 20)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.allclose(exported(image), model(image), atol=1e-4)
    for size in ((50, 20), (7, 33), (33, 32)):
        with pytest.raises(DataError, match="images_of_up_to_32x32" if suffix == "onnx" else "to be <= 32, but got"):
            exported.output_of(torch.rand(1, 3, *size))


def tied(*, in_channels, pretrained, freeze):
    return Encoder("tied", Tied(in_channels), in_channels=in_channels, img_size=32)
