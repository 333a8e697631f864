"""Encoders of any kind train by their names alone, at odd crops, and their checkpoints come back."""

import pytest
import torch
from hydra import compose, initialize_config_dir

from segup.checkpoints import load_model
from segup.cli.sweep import run_values
from segup.cli.train import configs_folder
from segup.training.config import RunConfig
from segup.training.run import train

SMALL = ["data.crop_size=[67,45]", "data.batch_size=2", "data.samples_per_epoch=2", "data.num_workers=0"]
RUN = ["encoder.pretrained=false", "decoder=deconv", "trainer=cpu", "trainer.max_steps=1", "trainer.threads=1"]

OPTIONS = (
    "neck.upsampler=pixel_shuffle", "encoder.freeze=1", "encoder.drop_path=0.1", "encoder.checkpoint_gradients=true",
    "optimizer.layer_decay=0.75", "encoder.mean=[0.5]",
)  # fmt: skip


def trained(folder, *words):
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        values = run_values(compose("train", [*words, *SMALL, *RUN]))
    return train(RunConfig.of(values), folder)


def check(folder, name, *words):
    trained(folder, "encoder=timm", f"encoder.name={name}", *words)
    model = load_model(folder / "last.ckpt")
    with torch.no_grad():
        assert model(torch.rand(1, 3, 33, 47)).shape == (1, 3, 33, 47)
    return model


def test_a_plain_transformer(tmp_path):
    assert check(tmp_path, "test_vit", *OPTIONS).spec["neck"] == "simple_fpn"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "hrnet_w18_small", "vit_small_patch16_dinov3"]
)
def test_by_its_name(name, tmp_path):
    check(tmp_path, name)
