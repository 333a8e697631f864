"""A training crop that cannot be trained is refused before anything starts, with the number.

Either the encoder does not take it whole, or a batch of one leaves BatchNorm one value.
"""

import numpy as np
import pytest
import torch
from groups import group
from PIL import Image

from segup.decoders.contract import topologies
from segup.errors import ConfigError, ShapeError
from segup.models import create_model
from segup.training.before import check_parts
from segup.training.config import RunConfig, TrainerConfig
from segup.training.crops import check_crop

TIED = {"name": "timm/convit_tiny", "pretrained": False, "options": {"img_size": 128}}
SHORT = {"name": "timm/test_vit", "pretrained": False, "max_tokens": 10}
PLAIN = {"topology": "plain", "upsampler": "bilinear", "widths": None, "convs": None, "upsampler_options": None}


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (
            TIED,
            r"takes images of up to 128×128, not 129×47: .*\n  try: data.crop_size=\[128,47\], or .*img_size=144",
        ),
        (SHORT, r"makes 28 tokens .* 129×47, .*max_tokens is 10.\n  try: data.crop_size=\[48,48\]"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused_before_the_start(tmp_path, small_run, encoder, said):
    data = {**group("data", "cells"), "crop_size": [129, 47]}
    with pytest.raises(ShapeError, match=said):
        check_parts(
            RunConfig.of(
                {
                    "encoder": encoder,
                    "decoder": PLAIN,
                    "data": data,
                    "loss": group("loss", "ce_dice"),
                    "optimizer": group("optimizer", "adamw"),
                    "scheduler": group("scheduler", "one_cycle"),
                }
            )
        )
    with pytest.raises(ShapeError, match=said):
        small_run(encoder=encoder, decoder=PLAIN, data={"crop_size": [129, 47]})
    assert not list((tmp_path / "run").iterdir())


@pytest.fixture
def images(tmp_path):
    """A folder of images that neither encoder takes whole, and few windows cover."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape, values in (("images", (140, 150, 3), 256), ("masks", (140, 150), 3)):
            (tmp_path / kind / split).mkdir(parents=True)
            for number in range(2):
                pixels = random.integers(0, values, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / kind / split / f"{number}.png")
    return {"name": "folder", "root": str(tmp_path), "classes": list("abc"), "colors": None}


@pytest.mark.parametrize("encoder", [TIED, SHORT])
def test_a_crop_that_fits_trains_and_larger_images_are_validated(small_run, images, encoder):
    result, _ = small_run(
        encoder=encoder,
        decoder=PLAIN,
        data={**images, "crop_size": [33, 47]},
        trainer={"max_epochs": 1, "max_steps": 1},
    )
    assert 0 <= result["last"]["miou"] <= 1


def of(crop, batch_size, **encoder_options):
    return {
        "encoder": {"name": "resnet18", "pretrained": False, **encoder_options},
        "decoder": {**group("decoder", "deconv"), "widths": [8, 8, 8, 8, 8], "convs": 1},
        "data": {**group("data", "cells"), "crop_size": crop, "batch_size": batch_size},
        "loss": group("loss", "ce_dice"),
        "optimizer": group("optimizer", "adamw"),
        "scheduler": group("scheduler", "one_cycle"),
    }


def test_a_batch_of_one_crop_with_a_map_of_one_cell_is_refused_before_the_start(tmp_path, small_run):
    said = (
        r"^data\.batch_size=1 and crops of 31×32: BatchNorm '{}\.\S+' would see 1 value of each channel, and needs 2 "
        r"in training\.\n  try: data\.batch_size=2, or data\.crop_size=\[62,64\]\.$"
    )
    with pytest.raises(ConfigError, match=said.format("encoder")):
        check_parts(RunConfig.of(of([31, 32], 1)))
    with pytest.raises(ConfigError, match=said.format("encoder")):
        small_run(data={"crop_size": [31, 32], "batch_size": 1})
    assert not list((tmp_path / "run").iterdir())
    check_parts(RunConfig.of(of([31, 32], 2)))
    check_parts(RunConfig.of(of([62, 64], 1)))
    check_parts(RunConfig.of(of([31, 32], 1, freeze=True)))  # whose statistics are kept
    both = {"trainer": {"sync_batchnorm": True, "devices": 2, "accelerator": "cpu"}}
    check_parts(RunConfig.of(of([31, 32], 1) | both))


@pytest.mark.parametrize("topology", topologies.names())
@pytest.mark.parametrize("size", [(31, 32), (32, 33), (1, 65), (100, 20)])
def test_what_is_let_pass_is_what_torch_trains(topology, size):
    torch.manual_seed(0)
    model = create_model("test_efficientnet", topology, num_classes=2, pretrained=False)
    try:
        check_crop(model, size, 1, TrainerConfig())
    except ConfigError:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            model.train()(torch.zeros(1, 3, *size))
    else:
        model.train()(torch.zeros(1, 3, *size))


def test_norms_that_do_more_are_not_exchanged_for_torchs():
    model = create_model(encoder="efficientnet_lite0", num_classes=2, pretrained=False)
    with pytest.raises(ConfigError) as raised:
        check_crop(model, (64, 64), 2, TrainerConfig(sync_batchnorm=True))
    assert str(raised.value) == (
        "trainer.sync_batchnorm=true exchanges BatchNorm for torch's own, and this model's BatchNormAct2d does more, "
        "which would be lost.\n  try: trainer.sync_batchnorm=false"
    )
    plain = create_model(encoder="resnet18", num_classes=2, pretrained=False)
    check_crop(plain, (64, 64), 2, TrainerConfig(sync_batchnorm=True))
