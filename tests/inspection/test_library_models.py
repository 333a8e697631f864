"""Models of other libraries, and their encoders in segup's: which are proved, and that what is said is what they do."""

import pytest
import torch
import torchvision

from segup.errors import ConfigError
from segup.inspection import check_sizes
from segup.models import create_model

smp = pytest.importorskip("segmentation_models_pytorch")

ARCHITECTURES = "UnetPlusPlus MAnet Linknet FPN PSPNet PAN DeepLabV3 DeepLabV3Plus UPerNet Segformer"
UNETS = """
resnet18 mobilenet_v2 efficientnet-b0 densenet121 vgg11_bn resnet50 timm-regnetx_002 mit_b0 xception inceptionv4
se_resnet50 mobileone_s0 tu-convnext_atto tu-mobilenetv3_small_100 dpn68
"""
SEGMENTERS = "fcn_resnet50 fcn_resnet101 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large"
ENCODERS = """
resnet18 convnext_atto efficientnet_b0 mobilenetv3_small_100 regnety_002 densenet121 vgg11_bn hardcorenas_a
res2net50_26w_4s ghostnet_100 repvgg_a0 resnest14d edgenext_xx_small fastvit_t8 pvt_v2_b0 poolformer_s12 starnet_s1
tiny_vit_5m_224 mobilevit_xxs cspresnet50 skresnet18 nfnet_l0 rexnet_100 lcnet_050
"""
REFUSED = "dla34 efficientformerv2_s0 tresnet_m"
CHECKED = {*ARCHITECTURES.split(), "tiny_vit_5m_224", "mobilevit_xxs"}  # their code branches on sizes, or divides them


def architecture(name):
    return getattr(smp, name)("resnet18", encoder_weights=None)


def unet(name):
    return smp.Unet(name, encoder_weights=None)


def segmenter(name):
    return getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=3)


def encoded(name):
    return create_model(name, pretrained=False, num_classes=2)


MODELS = {
    **{f"smp.{name}": (architecture, name) for name in ARCHITECTURES.split()},
    **{f"smp.Unet/{name}": (unet, name) for name in UNETS.split()},
    **{f"torchvision.{name}": (segmenter, name) for name in SEGMENTERS.split()},
    **{f"segup/{name}": (encoded, name) for name in ENCODERS.split()},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_of_a_library_model_is_what_it_does(name):
    build, part = MODELS[name]
    model = build(part)
    report = check_sizes(model)
    assert (report.verdict == "checked") == (part in CHECKED), str(report)
    for axis in (0, 1):
        for size in (1, 2, 3, 17, 31, 32, 33, 64, 90, 111, *((150, 200, 333) if report.proved else ())):
            pair = (size, report.other) if axis == 0 else (report.other, size)
            assert report.axes[axis].holds(size) == gives_back(model, pair), (axis, size)
    if report.proved:
        for pair in ((1, 1), (7, 50), (33, 2), (61, 67), (200, 133)):
            assert report.holds(pair) == gives_back(model, pair), pair


def gives_back(model, size):
    try:
        with torch.no_grad():
            out = model.eval()(torch.rand(1, 3, *size))
    except (RuntimeError, ValueError):
        return False
    return tuple((out["out"] if isinstance(out, dict) else out).shape[-2:]) == size


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED.split())
def test_encoders_that_take_no_sizes_from_some_size_on_are_refused(name):
    with pytest.raises(ConfigError, match="accepts"):
        encoded(name)
