"""What cannot be trained is refused before anything is read, built or printed."""

import copy
import inspect
import io
import math

import pytest
import yaml
from rich.console import Console

from segup.calls import accepts
from segup.cli.composed import composed, configs_folder, plain_values
from segup.errors import ConfigError, SegupError
from segup.training.before import check_settings
from segup.training.config import RunConfig
from segup.training.run import train
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class, upsamplers

GROUPS = ("encoder", "neck", "decoder", "loss", "optimizer", "scheduler")
WORDS = [f"{group}={file.stem}" for group in GROUPS for file in sorted((configs_folder() / group).glob("*.yaml"))] + [
    "trainer=auto"
]
NAMES = {"run_dir", "ckpt_path", "init_from", "data.cache_dir", "data.root"}  # null by default, and text
SIGNED = {"data.ignore_index", "decoder.upsampler_options.rounding"}


def run_values(words):
    values = plain_values(composed(words))
    values.pop("ablation")
    return values


def leaves(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def wrong(key, value):
    """Return values that a key cannot have, by the one that it has."""
    if isinstance(value, bool):
        return [-1, "maybe"]
    if isinstance(value, str) or key in NAMES:
        return [[1], {"a": 1}]
    if isinstance(value, list):
        return [math.nan, [[[math.nan]], *value[1:]]]
    return [math.nan, math.inf, *([] if key in SIGNED else [-1])]


def changed(values, key, value):
    values = copy.deepcopy(values)
    *groups, last = key.split(".")
    inner = values
    for group in groups:
        inner = inner[group]
    inner[last] = value
    return values


def let_pass(values, keys):
    passed = []
    for key, usual in keys:
        for value in wrong(key, usual):
            try:
                check_settings(RunConfig.of(changed(values, key, value)))
            except SegupError:
                continue
            passed.append(f"{key}={value}")
    return passed


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch, request):
    if "read" not in request.fixturenames:
        for place in ("segup.data.module.check_pairs", "segup.training.before.create_model"):
            monkeypatch.setattr(place, None)


@pytest.mark.parametrize("word", WORDS)
def test_a_value_of_the_wrong_kind_or_range_is_refused_for_every_key_of_a_part(word, capsys):
    group, _, name = word.partition("=")
    more = {"timm": ["encoder.name=resnet18"], "torchvision": ["encoder.name=resnet18"]}.get(name, [])
    values = run_values([word, *more])
    own = yaml.safe_load((configs_folder() / group / f"{name}.yaml").read_text()) or {}
    own.pop("defaults", None)
    check_settings(RunConfig.of(values))
    assert let_pass(values, [(f"{group}.{key}", value) for key, value in leaves(own)]) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", list_upsamplers())
def test_what_takes_null_is_what_an_operators_own_signature_says(name):
    values, operator = run_values(["decoder=deconv", f"decoder.upsampler={name}"]), operator_class(name)
    for option in upsamplers.storable(name):
        chosen = changed(values, "decoder.upsampler_options", {option: None})
        if accepts(inspect.signature(operator).parameters[option].annotation, None):
            check_settings(RunConfig.of(chosen))
        else:
            with pytest.raises(ConfigError, match=rf"^decoder\.upsampler_options\.{option}=None ") as refused:
                check_settings(RunConfig.of(chosen))
            assert "null" not in str(refused.value)


def test_a_value_of_the_wrong_kind_or_range_is_refused_for_every_key_of_all_runs(capsys):
    values = run_values([])
    keys = [(key, value) for key, value in leaves(values) if key.partition(".")[0] not in (*GROUPS, "trainer")]
    keys += [(f"decoder.{key}", value) for key, value in leaves(values["decoder"])]
    assert len(keys) > 50
    assert let_pass(values, keys) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.fold=3"], "data.fold=3, but the data is in no folds"),
        (["data.folds=3", "data.fold=3"], "data.folds=3 are numbered from 0"),
        (["data.augment.scale=[2,1]"], "data.augment.scale=[2, 1] must be [smallest, largest]"),
        (["data.image_range=[5,1]"], "with low < high"),
        (["data.colors=[[0,0,0]]"], "1 colours for 3 classes"),
        (["data.ignore_index=1"], "it must lie outside 0…2"),
        (["num_classes=7"], "num_classes=7 must be 3"),
        (["optimizer=sgd", "optimizer.momentum=0"], "needs a momentum above 0"),
        (["optimizer.lr=find", "trainer.devices=2", "trainer.accelerator=cpu"], "looks on one device"),
        (["loss.ce_weight=0", "loss.dice_weight=0"], "one must be above 0"),
        (["loss.class_weights=[1,2]"], "num_classes=3 takes 3"),
        (["loss=tversky", "loss.alpha=0", "loss.beta=0"], "one must be above 0"),
        (["encoder.mean=[0.1,0.2,0.3,0.4]"], "encoder.mean has 4 numbers, and images have data.in_channels=3"),
        (["data.in_channels=1", "encoder.std=[1,1]"], "try: encoder.std=[1]"),
    ],
)
def test_values_that_contradict_each_other_are_refused(words, said):
    with pytest.raises(SegupError) as caught:
        check_settings(RunConfig.of(run_values(words)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer.lr=-1"], "optimizer.lr=-1 must be a number above 0\n  try: optimizer.lr=0.001"),
        (["data.in_channels=5"], "3 channels cannot become in_channels=5"),
        (["decoder.widths=[4,4,4,4,4,4]"], "decoder.widths=[4, 4, 4, 4, 4, 4] must have one width for each step"),
        (["init_from=nowhere"], "no run folder or checkpoint at nowhere"),
    ],
)
def test_a_run_prints_nothing_before_it_refuses(words, said, tmp_path, read):
    tiny = ["encoder=segnet", "encoder.options.widths=[2,3]", "data.crop_size=[32,32]", "data.num_workers=0"]
    shown = io.StringIO()
    with pytest.raises(SegupError) as caught:
        train(RunConfig.of(run_values([*tiny, *words])), tmp_path, Console(file=shown))
    assert said in str(caught.value)
    assert (shown.getvalue(), list(tmp_path.iterdir())) == ("", [])


@pytest.fixture
def read():
    """Let a test read data and build models."""
