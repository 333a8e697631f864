"""One smallest model of each of timm's families, and torchvision's classification models, at seven sizes."""

import gc

import pytest
import timm
import torch
import torchvision

from segup import create_model
from segup.errors import ConfigError

SIZES = ((1, 1), (33, 47), (67, 45), (96, 131), (161, 193), (224, 224), (250, 333))
FAMILIES = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "test_convnext",
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "mobilenetv3_small_050",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "test_nfnet",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": "test_resnet",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224",
}
REFUSED = {
    "beit": "Input height .* doesn't match model",
    "cait": "Input height .* doesn't match model",
    "coat": "Input height .* doesn't match model",
    "convit": "Input height .* doesn't match model",
    "crossvit": "a map stays 96×20×20",
    "efficientformer": "broadcast a dimension of length",
    "efficientformer_v2": "is invalid for input of size",
    "gcvit": "is invalid for input of size",
    "hiera": "broadcast a dimension of length",
    "levit": "broadcast a dimension of length",
    "maxxvit": "broadcast a dimension of length",
    "mlp_mixer": "Input height .* doesn't match model",
    "nest": "Input height .* doesn't match model",
    "pit": "broadcast a dimension of length",
    "tnt": "Input image size",
    "visformer": "Input height .* doesn't match model",
    "vision_transformer_relpos": "Input height .* doesn't match model",
    "volo": "broadcast a dimension of length",
}
"""Families whose smallest model is tied to one size, and what its refusal says."""
UP_TO = {"mvitv2": 224}
"""Families whose smallest model takes no larger image than the one its weights are made for."""


def model_of(name):
    try:
        return create_model(name, "unet", "bilinear", num_classes=3, pretrained=False)
    except ConfigError as refusal:
        if "no pyramid" not in str(refusal):
            raise
        return create_model(name, "fcn", "bilinear", num_classes=3, pretrained=False, depths=1)


@torch.inference_mode()
def check(name, up_to=None):
    model = model_of(name).eval()
    encoder, verdict = model.encoder, model.verdict()
    assert verdict.failure is None
    for size in SIZES:
        if up_to is not None and max(size) > up_to:
            continue
        assert model(torch.rand(1, 3, *size)).shape == (1, 3, *size)
        accepted = encoder.accepted_size(size)
        assert all(side in encoder.pyramid.accepted for side in accepted)
        maps = encoder(torch.rand(1, 3, *accepted))
        for axis in (0, 1):
            assert tuple(one.shape[2 + axis] for one in maps) == encoder.map_sizes(accepted[axis])
            if verdict.proved:
                corrections = [rung.correction for rung in model.ladder(size[axis])]
                assert -verdict.cut <= min(corrections) <= max(corrections) <= verdict.repeated
    return encoder


def test_every_family_is_looked_at():
    assert list(FAMILIES) == timm.list_modules()
    assert len(FAMILIES) - len(REFUSED) - len(UP_TO) >= 79


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in REFUSED])
def test_a_family_gives_back_the_size(family):
    encoder = check(f"timm/{FAMILIES[family]}", UP_TO.get(family))
    declared = encoder.body.feature_info.reduction()
    assert encoder.strides == tuple(sorted(set(declared)))
    del encoder
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("family", REFUSED)
def test_a_refused_family_has_its_reason_and_a_way_out(family):
    name = f"timm/{FAMILIES[family]}"
    with pytest.raises(ConfigError, match=REFUSED[family]) as refusal:
        model_of(name)
    assert "\n  try: " in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(torchvision.models))
def test_a_model_of_torchvision_gives_back_the_size(name):
    if name.startswith(("maxvit", "vit")):
        with pytest.raises(ConfigError, match="cannot be traced into a pyramid.*\n  try: "):
            model_of(f"torchvision/{name}")
    elif not name.startswith(("vit_h", "regnet_y_128gf")):
        check(f"torchvision/{name}")
    gc.collect()
