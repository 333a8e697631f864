"""One smallest model of each of timm's families, and torchvision's classification models, at seven sizes."""

import gc
import inspect
import re
from itertools import pairwise

import pytest
import timm
import torch
import torchvision

from segup import create_model
from segup.encoders import create_encoder
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
NO_SIZE = {"crossvit"}
"""Families whose maps make no pyramid at the size of their weights either."""


def model_of(name, **options):
    return create_model(name, "unet", "bilinear", num_classes=3, pretrained=False, encoder_options=options)


@torch.no_grad()
def check(name, **options):
    model = model_of(name, **options)
    encoder, verdict = model.encoder, model.verdict()
    assert verdict.failure is None
    maps = []
    encoder.register_forward_hook(lambda *arguments: maps.append(arguments[-1]))
    for size in SIZES:
        assert model.eval()(torch.rand(1, 3, *size)).shape == (1, 3, *size)
        if encoder.window(size) is None:
            check_maps(model, verdict, size, maps[-1])
        maps.clear()
    check_training(model)
    return encoder


def check_maps(model, verdict, size, maps):
    encoder = model.encoder
    accepted = encoder.accepted_size(size)
    assert all(side in encoder.pyramid.accepted for side in accepted)
    for axis in (0, 1):
        assert tuple(one.shape[2 + axis] for one in maps) == encoder.map_sizes(accepted[axis])
        if verdict.proved:
            corrections = [rung.correction for rung in model.ladder(size[axis])]
            assert -verdict.cut <= min(corrections) <= max(corrections) <= verdict.repeated


def check_strides(encoder):
    """Hold the strides to those that timm declares, of which a pyramid has each once."""
    assert tuple(dict.fromkeys(encoder.strides)) == tuple(sorted(set(encoder.body.feature_info.reduction())))


def check_training(model):
    """Train at each size, from the first on at which BatchNorm has more than one value of a channel."""
    model.train()
    fits = [size for size in SIZES if model.encoder.window(size) is None]
    begun = False
    for size in fits:
        try:
            logits = model(torch.rand(2, 3, *size))
        except ValueError as cause:
            if begun or not str(cause).startswith("Expected more than 1 value"):
                raise
        else:
            begun = True
            assert logits.shape == (2, 3, *size)
    assert begun


def test_every_family_is_looked_at():
    assert list(FAMILIES) == timm.list_modules()
    assert len(FAMILIES) - len(REFUSED) >= 80


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in REFUSED])
def test_a_family_gives_back_the_size(family):
    check_strides(check(f"timm/{FAMILIES[family]}"))
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("family", REFUSED)
def test_a_refused_family_has_its_reason_and_a_way_out(family):
    name = f"timm/{FAMILIES[family]}"
    with pytest.raises(ConfigError, match=REFUSED[family]) as refusal:
        model_of(name)
    told = re.search(r"\n  try: encoder.options.img_size=(\d+), or the larger side of your images", str(refusal.value))
    assert (told is None) == (family in NO_SIZE)
    if told is None:
        assert "\n  try: encoder.name=" in str(refusal.value)
    else:
        check_strides(check(name, img_size=int(told[1])))
    gc.collect()


@pytest.mark.parametrize(("name", "size"), [("test_vit_relpos", 100), ("levit_128s", 224), ("volo_d1_224", 200)])
def test_strides_at_one_size_are_the_declared_ones(name, size):
    check_strides(create_encoder(name, pretrained=False, img_size=size))


@pytest.mark.parametrize("neck", ["simple_fpn", "linear"])
def test_cells_at_one_size_are_whole_with_a_neck(neck):
    def built(size):
        return create_model(
            "test_vit_relpos", "fcn", "bilinear", num_classes=2, pretrained=False, neck=neck,
            encoder_options={"img_size": size},
        )  # fmt: skip

    with pytest.raises(ConfigError, match=r"takes 100 alone, and a neck needs a multiple of 16.*\n  try: .*=112"):
        built(100)
    assert built(112).encoder.map_sizes(112)[-1] == 7


def test_maps_with_more_rows_than_a_step_cuts_are_made_of_whole_cells():
    encoder = check("mobilevitv2_050")
    assert str(encoder.pyramid.accepted) == "the multiples of 64"
    check_strides(encoder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"img_size": 200}, "at 200×200 pixels, .*\n  try: encoder.options.img_size=224$"),
        ({"options": {"img_size": 200}}, "at 200×200 pixels, .*\n  try: encoder.options.img_size=224$"),
        (
            {"img_size": 224, "out_indices": [4]},
            "out of range.*\n  try: encoder.out_indices=.3., the last of its 4 maps",
        ),
        ({"out_indices": [-5]}, "out of range.*\n  try: encoder.out_indices="),
        ({"out_indices": []}, "has 0 values, which must be of 1 or more"),
    ],
)
def test_arguments_that_a_model_does_not_take_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        create_encoder("gcvit_xxtiny", pretrained=False, **options)


@pytest.mark.parametrize(
    ("name", "options", "way_out"),
    [
        ("vgg11", {"options": {"drop_path_rate": 0.1}}, "encoder.drop_path=null"),
        ("resnet18", {"img_size": 64}, "encoder.options.img_size=null"),
        ("resnet18", {"out_indices": [7]}, "encoder.out_indices=[4], the last of its 5 maps, or null"),
        ("crossvit_tiny_240", {"img_size": 240}, "encoder.name=pvt_v2_b0, or another one of `segup encoders`"),
    ],
)
def test_an_argument_that_timm_refuses_has_its_way_out(name, options, way_out):
    with pytest.raises(ConfigError, match=re.escape(f"\n  try: {way_out}")):
        create_encoder(name, pretrained=False, **options)


def test_a_model_that_timm_builds_otherwise_with_its_weights_is_the_same_without_them(monkeypatch):
    own = [name for name in timm.list_models() if "if pretrained" in inspect.getsource(timm.model_entrypoint(name))]
    assert own == ["fbnetc_100"]  # another one needs its arguments in from_timm, too
    monkeypatch.setattr(timm.models._builder, "load_pretrained", lambda *_, **__: None)
    ways = [create_encoder(own[0], pretrained=pretrained).modules() for pretrained in (True, False)]
    epsilons = [{module.eps for module in way if isinstance(module, torch.nn.BatchNorm2d)} for way in ways]
    assert epsilons == [{1e-3}, {1e-3}]


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(torchvision.models))
def test_a_model_of_torchvision_gives_back_the_size(name):
    if name.startswith(("maxvit", "vit")):
        with pytest.raises(ConfigError, match=r"cannot be traced into a pyramid.*\n  try: encoder.options.img_size=\d"):
            model_of(f"torchvision/{name}")
        if name != "vit_h_14":  # its weights and their copy take gigabytes
            check(f"torchvision/{name}", img_size=224)
    elif name != "regnet_y_128gf":
        strides = check(f"torchvision/{name}").strides
        assert all(low == 2 * high for high, low in pairwise(strides))
    gc.collect()


def test_a_transformer_of_torchvision_gives_its_blocks_as_maps():
    encoder = create_encoder("torchvision/vit_b_16", pretrained=False, img_size=32).eval()
    network = torchvision.models.vit_b_16(image_size=32).eval()
    encoder.body.body.load_state_dict(network.state_dict(), strict=False)
    image = torch.rand(2, 3, 32, 32)
    found = {}
    for place, block in enumerate(network.encoder.layers.children()):
        block.register_forward_hook(lambda _, __, tokens, place=place: found.update({place: tokens}))
    maps = encoder(image)
    network(encoder.normalise(image))
    assert list(found) == list(range(12))
    for one, place in zip(maps, (2, 5, 8, 11), strict=True):
        assert torch.equal(one[:, :, 1, 0], found[place][:, 1 + 2])  # after the class token, row by row


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("vit_b_16", 100, "Input shape indivisible by patch size!\n  try: encoder.options.img_size=224"),
        ("maxvit_t", 300, "not divisible by partition size"),
        ("resnet18", 224, "it takes no size\n  try: encoder.options.img_size=null"),
    ],
)
def test_a_size_for_which_torchvision_builds_nothing_is_refused(name, size, said):
    with pytest.raises(ConfigError, match=re.escape(f"cannot be built with img_size={size}: ")) as refusal:
        create_encoder(f"torchvision/{name}", pretrained=False, img_size=size)
    assert said in str(refusal.value)
