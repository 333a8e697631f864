"""Every kind of part has the same door: found by its name, in segup or in somebody's module, checked and trusted."""

import importlib
import sys

import pytest
import torch
from groups import group

from segup import create_model
from segup.checkpoints import save_model
from segup.cli.composed import configs_folder
from segup.data import Labels, create_dataset, list_datasets, register_dataset
from segup.data.sets import datasets
from segup.decoders import create_decoder, list_decoders, register_topology, topologies
from segup.encoders import create_encoder, encoders, list_encoders, register_encoder
from segup.errors import ConfigError
from segup.losses import LOSSES, create_loss, list_losses, register_loss
from segup.metrics import create_metric, list_metrics, register_metric
from segup.metrics.contract import metrics
from segup.names import check_trust
from segup.necks import create_neck, list_necks, necks, register_neck
from segup.training.optimizers import create_optimizer, list_optimizers, optimizers, register_optimizer
from segup.training.resume import resumed_config
from segup.training.schedulers import create_scheduler, list_schedulers, register_scheduler, schedulers
from segup.upsamplers import create_upsampler, list_upsamplers, register_upsampler
from segup.upsamplers.contract import upsamplers

MODULE = "somebodys_parts"
PARTS = '''
import torch
from segup.data.sets.cells import Cells
from segup.decoders import UNetDecoder
from segup.encoders.segnet import segnet
from segup.losses import SegmentationLoss
from segup.metrics import Score
from segup.metrics.image_miou import ImageMiou
from segup.necks.none import NoNeck
from segup.training.schedulers.constant import constant
from segup.upsamplers import Nearest


class Up(Nearest): pass
class Topology(UNetDecoder): pass
class Between(NoNeck): pass
class Set(Cells): pass
class Loss(SegmentationLoss):
    def compute(self, logits, target, valid):
        return logits.square().mean()
class Scores(ImageMiou):
    scores = (Score("mine", "mine"),)
class Optimizer(torch.optim.RAdam): pass
encoder, scheduler = segnet, constant


def nothing(*args, **options):
    """Makes what is no part of any kind."""
'''


def optimizer(name, **options):
    return create_optimizer(
        {"name": name, "lr": 0.1, **options}, create_model("segnet", num_classes=2, pretrained=False)
    )


def scheduler(name, **options):
    return create_scheduler({"name": name, **options}, torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), 9)


LABELS = Labels(("background", "cytoplasm", "nucleus"))
KINDS = {
    "upsampler": (upsamplers, lambda name, **o: create_upsampler(name, 4, 2, **o), "Up", "deconv"),
    "topology": (topologies, lambda name, **o: create_decoder(name, [4, 6], [2, 4], **o), "Topology", "unet"),
    "encoder": (encoders, lambda name, **o: create_encoder(name, pretrained=False, **o), "encoder", "segnet"),
    "neck": (necks, lambda name, **o: create_neck(name, [8] * 4, [16] * 4, **o), "Between", "simple_fpn"),
    "data set": (datasets, lambda name, **o: create_dataset(name, LABELS, **o), "Set", "cells"),
    "loss": (LOSSES, lambda name, **o: create_loss(name, num_classes=3, **o), "Loss", "focal"),
    "metric": (metrics, lambda name, **o: create_metric(name, num_classes=3, **o), "Scores", "image_miou"),
    "optimizer": (optimizers, optimizer, "Optimizer", "adamw"),
    "scheduler": (schedulers, scheduler, "scheduler", "poly"),
}
each_kind = pytest.mark.parametrize(("kind", "registry", "create", "part", "own"), [(k, *v) for k, v in KINDS.items()])


@pytest.fixture(autouse=True)
def _a_module_outside(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop(MODULE, None)


@each_kind
def test_a_part_is_found_by_its_name_or_by_its_module(kind, registry, create, part, own):
    assert own in registry.names()
    assert create(own) is not None
    theirs = create(f"{MODULE}:{part}")
    if part[0].isupper():
        assert (type(theirs).__module__, type(theirs).__name__) == (MODULE, part)


@each_kind
def test_what_is_unknown_is_answered_with_the_nearest(kind, registry, create, part, own):
    with pytest.raises(ConfigError, match=f"unknown .*'{own}e'.* did you mean '{own}'"):
        create(f"{own}e")
    with pytest.raises(ConfigError, match=f"unknown option of {kind} '{own}' 'nonsense'"):
        create(own, nonsense=1)
    with pytest.raises(ConfigError, match=f"unknown option of {kind} '{MODULE}:{part}' 'nonsense'"):
        create(f"{MODULE}:{part}", nonsense=1)
    with pytest.raises(ConfigError, match=f"{kind} '{MODULE}:absent' cannot be imported"):
        create(f"{MODULE}:absent")


@each_kind
def test_what_makes_no_such_part_is_refused(kind, registry, create, part, own):
    with pytest.raises(ConfigError, match=f"{kind} '{MODULE}:nothing' (makes a NoneType|is (a|no) )"):
        create(f"{MODULE}:nothing")


@each_kind
def test_a_name_that_is_taken_stays_whose_it_is(kind, registry, create, part, own):
    with pytest.raises(ConfigError, match=f"{kind} '{own}' is already segup"):
        registry.register(own)(importlib.import_module(MODULE).nothing)


def test_each_kind_is_entered_and_listed_in_the_same_way(monkeypatch):
    doors = [
        (upsamplers, register_upsampler, list_upsamplers), (topologies, register_topology, list_decoders),
        (encoders, register_encoder, list_encoders), (necks, register_neck, list_necks),
        (datasets, register_dataset, list_datasets),
        (LOSSES, register_loss, list_losses), (metrics, register_metric, list_metrics),
        (optimizers, register_optimizer, list_optimizers), (schedulers, register_scheduler, list_schedulers),
    ]  # fmt: skip
    assert [door[0] for door in doors] == [kind[0] for kind in KINDS.values()]
    for registry, register, listed in doors:
        before = listed()
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))

        class Part:
            pass

        assert register("a_new_one")(Part) is Part
        assert listed() == sorted([*before, "a_new_one"])


@pytest.mark.parametrize("key", ["encoder", "neck", "decoder", "data", "loss", "metric", "optimizer", "scheduler"])
def test_a_checkpoints_outside_names_need_trust(key, tmp_path):
    """Of whatever kind: a run that goes on imports nothing that is not trusted."""
    model = create_model("segnet", num_classes=2, pretrained=False, encoder_options={"widths": [4, 6]})
    named = {"upsampler" if key == "decoder" else "name": f"{MODULE}:part"}
    config = {"encoder": {}, "data": {}, "scheduler": {}, key: {"mine": named} if key == "metric" else named}
    save_model(model, tmp_path / "m.ckpt", info={"config": config})
    with pytest.raises(ConfigError, match=f"has a part from outside segup, '{MODULE}:part'.*\n.*--trust {MODULE} "):
        resumed_config(tmp_path / "m.ckpt", {})
    resumed_config(tmp_path / "m.ckpt", {"trust": [MODULE]})
    check_trust(config, [MODULE], "a.ckpt")
    assert MODULE not in sys.modules


@pytest.mark.parametrize("folder", ["data", "encoder", "loss", "metric", "neck", "optimizer", "scheduler"])
def test_every_word_of_a_group_names_a_part(folder):
    """One YAML for each part, or for each library of encoders."""
    registry = KINDS[{"data": "data set"}.get(folder, folder)][0]
    for file in sorted((configs_folder() / folder).glob("*.yaml")):
        values = group(folder, file.stem)
        named = values[file.stem] if folder == "metric" else values
        assert (named.get("library") or named["name"]) in registry, file


def test_torchs_own_optimizers_and_schedules_are_parts_from_outside():
    assert type(optimizer("torch.optim:RAdam", weight_decay=0.1)).__name__ == "RAdam"
    assert type(scheduler("torch.optim.lr_scheduler:StepLR", step_size=3)).__name__ == "StepLR"
    with pytest.raises(ConfigError, match="StepLR' cannot be built: missing a required argument: 'step_size'"):
        scheduler("torch.optim.lr_scheduler:StepLR")
