"""Blocks and stages from the input on: those that are kept as they are, and the rates of the others."""

import pytest
import torch

from segup import create_model
from segup.encoders import create_encoder
from segup.encoders.layers import layers_of
from segup.errors import ConfigError
from segup.models import load_model, save_model
from segup.training.optimizers import create_optimizer

COUNTS = {"test_vit": 6, "test_resnet": 4, "test_convnext": 4, "segnet": 5, "torchvision/resnet18": 4}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_parameter_is_in_one_layer(name, count):
    body = create_encoder(name, pretrained=False).body
    layers = layers_of(body)
    assert len(layers) == count + 1
    held = [id(one) for layer in layers for one in layer.parameters]
    assert sorted(held) == sorted(id(one) for one in body.parameters())


def test_the_first_blocks_are_kept(tmp_path):
    options = {"freeze": 2, "mean": [0.1, 0.2, 0.3], "std": [0.5]}
    model = create_model("test_vit", num_classes=2, pretrained=False, encoder_options=options)
    inner = model.encoder.body.model
    kept = {name for name, p in inner.named_parameters() if not p.requires_grad}
    assert {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.1.mlp.fc1.weight"} <= kept
    assert not any(name.startswith(("blocks.2", "blocks.5")) for name in kept)
    model.train()
    assert not inner.blocks[1].training
    assert inner.blocks[2].training
    save_model(model, tmp_path / "m.pt")
    again = load_model(tmp_path / "m.pt").encoder
    assert torch.allclose(again.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    assert again.std.flatten().tolist() == [0.5] * 3
    with pytest.raises(
        ConfigError, match="has 6 blocks or stages, and freeze=7 asks for more.\n  try: encoder.freeze=6"
    ):
        create_encoder("test_vit", pretrained=False, freeze=7)


def test_each_layer_learns_at_a_share_of_the_next_ones_rate():
    model = create_model("test_vit", num_classes=2, pretrained=False)
    config = {"name": "adamw", "lr": 1.0, "encoder_lr_factor": 0.5, "head_lr_factor": 5, "layer_decay": 0.5}
    groups = create_optimizer(config, model).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    inner = model.encoder.body.model
    assert rates[id(inner.blocks[5].mlp.fc1.weight)] == 0.5
    assert rates[id(inner.blocks[3].mlp.fc1.weight)] == 0.125
    assert rates[id(inner.pos_embed)] == 0.5 * 0.5**6
    assert {rates[id(p)] for p in (*model.neck.parameters(), *model.decoder.parameters())} == {1.0}
    with pytest.raises(ConfigError, match="optimizer.layer_decay=2 must be a number above 0 and at most 1"):
        create_optimizer({**config, "layer_decay": 2}, model)
