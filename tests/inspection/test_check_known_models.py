"""Models of other libraries and segup's own: which give back every size, which refuse, and in what words."""

import pytest
import torch
import torchvision

from segup.inspection import check_sizes
from segup.models import create_model

smp = pytest.importorskip("segmentation_models_pytorch")

# The sizes that each takes are the multiples of its divisor, PAN's from 128 on (three poolings at stride 16); None for
# all sizes.
LEAST = {"PAN": 128}
ARCHITECTURES = {
    "Unet": None,
    "UnetPlusPlus": 32,
    "MAnet": 32,
    "Linknet": 32,
    "FPN": 32,
    "PSPNet": 8,
    "PAN": 16,
    "DeepLabV3": 8,
    "DeepLabV3Plus": 16,
    "UPerNet": 32,
    "Segformer": 32,
}


def built(name):
    return getattr(smp, name)("resnet18", encoder_weights=None)


@pytest.mark.parametrize("name", ["Unet", "FPN", "PSPNet"])
def test_an_smp_architecture_gives_back_what_it_accepts(name):
    check_architecture(name, sizes=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_smp_architecture_gives_back_what_it_accepts(name):
    check_architecture(name, sizes=range(1, 161))


def check_architecture(name, sizes):
    divisor = ARCHITECTURES[name]
    model = built(name)
    report = check_sizes(model, sizes=sizes)
    if divisor is None:
        assert (report.verdict, report.always, report.period) == ("proved", True, 1)
        return
    assert (report.verdict, report.always) == ("checked", False)
    for axis in report.axes:
        expected = [n for n in axis.sizes if n % divisor == 0 and n >= LEAST.get(name, 1)]
        assert [size for size in axis.sizes if axis.holds(size)] == expected
    first = report.first_failure
    assert (first.size, first.out, first.layer) == (1, None, "")
    with pytest.raises(RuntimeError) as raised, torch.no_grad():
        model.eval()(torch.zeros(1, 3, 1, report.other))
    assert first.message == "RuntimeError: " + " ".join(str(raised.value).split())
    assert any("branches on a size (segmentation_models_pytorch.base.model" in reason for reason in report.reasons)


@pytest.mark.slow
def test_dpt_takes_a_vision_transformer_of_one_size():
    with pytest.raises(ValueError, match="Only Timm encoders are supported for DPT"):
        built("DPT")
    model = smp.DPT("tu-vit_tiny_patch16_224", encoder_weights=None)
    report = check_sizes(model, sizes=range(208, 241, 16))
    assert report.verdict == "checked"
    assert [size for size in (208, 224, 240) if report.axes[0].holds(size)] == [224]


def test_torchvision_fcn_is_proved_through_its_dict():
    model = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=4)
    report = check_sizes(model)
    assert (report.verdict, report.always, report.min_size) == ("proved", True, 1)


@pytest.mark.parametrize(
    "upsampler", ["deconv", "deconv_matched", pytest.param("pixel_shuffle", marks=pytest.mark.slow)]
)
def test_segups_own_models_are_proved(upsampler):
    model = create_model("resnet18", upsampler=upsampler, num_classes=3, pretrained=False)
    report = check_sizes(model)
    assert (report.verdict, report.always, report.min_size) == ("proved", True, 1), str(report)
    assert report.holds((417, 10**6))


def test_an_encoder_with_a_minimum_is_proved_through_the_extension():
    model = create_model("convnext_atto", upsampler="bilinear", num_classes=2, pretrained=False)
    report = check_sizes(model)
    assert (report.verdict, report.always) == ("proved", True), str(report)
    with torch.no_grad():
        assert model.eval()(torch.zeros(1, 3, 5, 33)).shape[-2:] == (5, 33)
