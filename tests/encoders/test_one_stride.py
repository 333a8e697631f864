"""Encoders whose maps are all of one stride, come channels last, or are tied to one size."""

import time

import pytest
import timm
import torch

from segup import create_model
from segup.checkpoints import load_model, save_model
from segup.encoders import create_encoder
from segup.errors import ConfigError, ShapeError


@pytest.fixture(scope="module")
def vit():
    return create_encoder("test_vit", pretrained=False).eval()


def test_blocks_are_chosen_evenly(vit):
    assert vit.pyramid.one_stride
    assert vit.strides == (16,) * 4
    assert vit.body.out_indices == (0, 2, 3, 5)
    for size in ((1, 1), (33, 47), (96, 131)):
        with torch.no_grad():
            maps = vit(vit.extend(torch.rand(1, 3, *size)))
        assert {tuple(m.shape[-2:]) for m in maps} == {(-(-size[0] // 16), -(-size[1] // 16))}


def test_chosen_blocks_override():
    encoder = create_encoder("test_vit", pretrained=False, out_indices=[1, 4])
    assert (encoder.strides, encoder.body.out_indices) == ((16, 16), [1, 4])


def test_a_topology_with_skips_is_refused_and_each_way_out_works():
    with pytest.raises(ConfigError) as refusal:
        create_model("test_vit", "unet", num_classes=2, pretrained=False, neck="none")
    assert "gives 4 maps of stride 16, no pyramid, and topology 'unet' takes a skip" in str(refusal.value)
    ways_out = (
        ("duc", {}),
        ("plain", {}),
        ("fcn", {"depths": 1}),
        ("unet", {"encoder_options": {"out_indices": [-1]}}),
        ("unet", {"neck": "simple_fpn"}),
    )
    for topology, options in ways_out:
        assert topology == "unet" or topology in str(refusal.value)
        names = {"num_classes": 2, "pretrained": False, "neck": "none", **options}
        model = create_model("test_vit", topology, "bilinear", **names).eval()
        with torch.no_grad():
            assert model(torch.rand(1, 3, 67, 45)).shape == (1, 2, 67, 45)


def test_its_checkpoint_comes_back(tmp_path):
    model = create_model("test_vit", "fcn", "bilinear", num_classes=2, pretrained=False, depths=1).eval()
    save_model(model, tmp_path / "vit.pt")
    image = torch.rand(1, 3, 50, 41)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "vit.pt")(image), model(image))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "torchvision/swin_t", "test_mambaout"])
def test_channels_last_are_turned(name):
    encoder = create_encoder(name, pretrained=False).eval()
    assert encoder.pyramid.channels_last
    assert encoder.strides == (4, 8, 16, 32)
    with torch.no_grad():
        maps = encoder(encoder.extend(torch.rand(1, 3, 67, 45)))
    assert tuple(m.shape[1] for m in maps) == encoder.channels


def test_an_encoder_of_one_size_takes_smaller_images():
    with pytest.raises(ConfigError, match="try: encoder.options.img_size=224"):
        create_encoder("convit_tiny", pretrained=False)
    model = create_model(
        "convit_tiny", "duc", "pixel_shuffle", num_classes=2, pretrained=False, encoder_options={"img_size": 64}
    ).eval()
    assert "takes 64 alone: a smaller image is extended, and a larger one goes through in windows." in str(
        model.verdict()
    )
    with torch.no_grad():
        assert model(torch.rand(1, 3, 33, 47)).shape == (1, 2, 33, 47)
        assert model(torch.rand(1, 3, 33, 65)).shape == (1, 2, 33, 65)
    with pytest.raises(
        ShapeError, match=r"takes images of up to 64×64, not 33×65(.|\n)*try: .*, or encoder.options.img_size=80"
    ):
        model.train()(torch.rand(1, 3, 33, 65))


@pytest.mark.slow
def test_a_model_of_a_vit_with_its_proofs_is_built_in_three_times_timms_own_time_and_a_second():
    def seconds(build):
        begun = time.process_time()
        build()
        return time.process_time() - begun

    name = "vit_small_patch16_224"
    theirs = min(seconds(lambda: timm.create_model(name)) for _ in range(3))
    ours = min(seconds(lambda: create_model(name, num_classes=3, pretrained=False)) for _ in range(2))
    assert ours <= 3 * theirs + 1, (ours, theirs)
