"""Blocks and stages from the input on: those that are kept as they are, and the rates of the others."""

import gc
from itertools import pairwise

import pytest
import timm
import torch
from timm.models import group_parameters
from torch import nn

from segup import create_model
from segup.checkpoints import load_model, save_model
from segup.encoders import Encoder, create_encoder
from segup.encoders.layers import layers_of
from segup.errors import ConfigError
from segup.training.optimizers import create_optimizer
from tests.encoders.test_families import FAMILIES

COUNTS = {
    "test_vit": 6, "test_resnet": 4, "test_convnext": 4, "regnetx_002": 4, "segnet": 5, "torchvision/resnet18": 4,
    "efficientnet_lite0": 7,
}  # fmt: skip
ROWLESS = nn.Conv2d(3, 4, 2, 2)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_parameter_is_in_one_layer(name, count):
    encoder = create_encoder(name, pretrained=False)
    layers = encoder.layers()
    assert len(layers) == count + 1
    held = [id(one) for layer in layers for one in layer.parameters]
    assert sorted(held) == sorted(id(one) for one in encoder.body.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_come_in_the_order_of_timms_own_groups(family):
    """timm's groups decide rates by layer there; each author wrote those of his models."""
    name = FAMILIES[family]
    whole, config = timm.create_model(name), timm.get_pretrained_cfg(name)
    body = timm.create_model(name, features_only=True)
    layers = layers_of(body, config.input_size[-1])
    names = {id(one): key.removeprefix("model.").replace(".", "_") for key, one in body.named_parameters()}
    assert sorted(names) == sorted(id(one) for layer in layers for one in layer.parameters)
    assert len(layers) > 2
    if not hasattr(whole, "group_matcher"):
        return
    groups = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
    known = {key.replace(".", "_"): group for key, group in groups.items() if "." in key}  # tables of positions are
    spans = [[known[names[id(one)]] for one in layer.parameters if names[id(one)] in known] for layer in layers]
    assert all(max(before) <= min(after) for before, after in pairwise(filter(None, spans)))
    del whole, body
    gc.collect()


def test_what_lies_behind_a_block_by_the_order_of_calls_is_its_own():
    encoder = create_encoder("twins_svt_small", pretrained=False)
    named = {id(one): name for name, one in encoder.body.named_parameters()}
    first = {named[id(one)] for one in encoder.layers()[0].parameters}
    assert {name.partition("proj")[0] for name in first if "patch_embeds" in name} == {"model.patch_embeds.0."} | {
        name for name in first if name.startswith("model.patch_embeds.0.norm")
    }


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


def test_the_statistics_of_the_stages_that_are_kept_stay():
    encoder = create_encoder("test_resnet", pretrained=False, freeze=2)
    before = {name: value.clone() for name, value in encoder.body.state_dict().items() if "running_mean" in name}
    encoder.train()(torch.rand(2, 3, 64, 64))
    now = encoder.body.state_dict()
    moved = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, now[name])}
    assert moved == {"layer3", "layer4"}


def test_a_network_without_blocks_is_kept_whole_or_not_at_all():
    encoder = Encoder("own", nn.Sequential(ROWLESS))
    with pytest.raises(
        ConfigError, match=r"'own' has no blocks or stages in a row, and freeze=1 .*\n  try: encoder.freeze=true"
    ):
        encoder.freeze_first(1)


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
