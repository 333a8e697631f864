"""The plugin that tries ways out finds those that fail; and ways out of wrong command lines lead past the error."""

import shlex

import pytest
import yaml
from ways_out import faults, ways

import segup.training.start
from segup.cli.explained import unreadable
from segup.cli.train import run

WORKING = (
    "decoder=deconv_matched (kernel 3, padding 1 reaches 33), or decoder.fit=correct (cuts 1 row).",
    "decoder.upsampler_options.rounding=up (or down), or decoder=deconv, which corrects instead.",
    "'data.mask_values={0: 0, 255: 1}'",
    "-m decoder=deconv,bilinear for a run with each, or 'data.crop_size=[161,193]' for a list.",
    "ablation.name=<name>; the command makes ablations/ in the folder it is given in.",
    "another --out, or --overwrite.",
    "pip install 'segup[joblib]'",
    'segup explain "conv k3"; segup shapes "conv k3, pool k2" shows a chain\'s sizes.',
    "segup compare outputs/a outputs/b --baseline deconv",
    "padding=(1, 0), output_padding=(2, 0), which gives 13×6; or kernel_size=(4, 3).",
    "block(x, size=skip.shape[-2:]), or skip_channels= at construction.",
    "segup.shapes.find_transposed(1, 2), which lists layers that reach it.",
    "conv k2",
    "smaller strides.",
)
FAILING = (
    "decoder=deconv_macthed",
    "decoder.fitt=correct",
    "data.in_chanels=1",
    "decoder.topology.unet=1, or another operator",
    "'data.mask_values={\"#ff8000\": 1}'",
    "-m decoder=deconv,bilinera for a run with each.",
    "--overwrit",
    "pip install 'segup[slurm]'",
    "pip install segupp",
    'segup explain "conv k3 q7"',
    "segup compare outputs/a --basis deconv",
    "segup cmpare outputs/a",
    "kernel_sise=3",
    "padding=(1, 0",
    "segup.shapes.find_transpose(1, 2)",
    "segup.inspection.check_size takes any model.",
    "conv z2",
)


@pytest.mark.parametrize("way", WORKING)
def test_a_way_out_that_works_is_let_pass(way):
    assert faults(f"it is wrong.\n  try: {way}") == []


@pytest.mark.parametrize("way", FAILING)
def test_a_way_out_that_fails_is_found(way):
    assert faults(f"it is wrong.\n  try: {way}")


def test_a_message_without_a_way_out_is_let_pass():
    assert ways("unknown loss 'x': known: dice") is None
    assert faults("unknown loss 'x': known: dice") == []


UNREADABLE = (
    "data.root=spåce dir",
    "data.root=it's (mine)",
    "name=$HOME and `x`",
    'name=say "hello"',
    "data.classes=[soil, größer]",
    "data.classes=[big leaf,c&d]",
    'data.mask_values={"#ff8000": 1, "#000000": 0}',
    "data.mask_values={#ff8000: 1, '#1e5000': 0}",
)


@pytest.mark.parametrize("typed", UNREADABLE)
def test_an_override_that_cannot_be_read_is_answered_with_one_that_bash_and_hydra_read(typed):
    import subprocess

    from hydra.core.override_parser.overrides_parser import OverridesParser

    proposed = unreadable(typed).rpartition("try: ")[2]
    word = subprocess.run(["bash", "-c", f"printf %s {proposed}"], capture_output=True, text=True, check=True).stdout
    read, value = OverridesParser.create().parse_override(word).value(), typed.partition("=")[2]
    if value[0] == "{":
        assert {key.replace("0x", "#"): index for key, index in read.items()} == yaml.safe_load(
            value if '"' in value else value.replace("#ff8000", "'#ff8000'")
        )
    elif value[0] == "[":
        assert read == [part.strip() for part in value[1:-1].split(",")]
    else:
        assert read == value


def test_colours_of_masks_can_be_typed(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    from segup.data.labels import Labels
    from segup.data.mask_codes import MaskCode, check_values
    from segup.data.masks import decode_mask
    from segup.errors import DataError

    pixels = np.array([[[255, 128, 0], [0x1E, 0x50, 0]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    labels = Labels(("soil", "leaf"), ((1, 2, 3), (4, 5, 6)))
    with pytest.raises(DataError) as caught:
        decode_mask(tmp_path / "mask.png", MaskCode(labels, None, None))
    word = shlex.split(ways(str(caught.value)).partition(",  what")[0].partition("', what")[0] + "'")[0]
    from hydra.core.override_parser.overrides_parser import OverridesParser

    values = OverridesParser.create().parse_override(word.replace("CLASS", "1", 1).replace("CLASS", "0")).value()
    check_values(values, labels)
    assert decode_mask(tmp_path / "mask.png", MaskCode(labels, values, None)).tolist() == [[0, 1]]


class BeginsError(Exception):
    """The run would begin."""


WRONG = (
    "decoder=deconv,bilinear",
    "seed=0,1",
    "trainer.max_epochs=2,3 decoder=bilinear",
    "data.crop_size=161,193",
    "loss.class_weights=1,2,3",
    "decoder.widths=64,48,32,24,16",
    "name=a,b",
    "name=my run, second",
    "run_dir=/data/a,b",
    "init_from=/data/a,b",
    "encoder.weights=/data/a,b.pth",
    "data.root=/data/a,b",
    "data.cache_dir=/data/a,b",
    "data=folder data.classes=[a,b] data.root=/data/a,b",
    "encoder=resnet18",
    "encoder=resnet1888",
    "encoder=efficientnet_b00 seed=3",
    "data=folder data.root=. data.classes=a,b",
)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_proposed_for_a_command_line_leads_past_its_error(wrong, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = wrong.split(" ") if "my run" not in wrong else [wrong]
    assert _tried(arguments, monkeypatch) == 1
    error = capsys.readouterr().err
    proposed = ways(error)
    assert proposed is not None, error
    for way in proposed.rstrip(".").split(", or "):
        words = shlex.split(way.partition(" for a ")[0])
        keys = {word.partition("=")[0] for word in words}
        kept = [word for word in arguments if word.partition("=")[0] not in keys]
        assert _tried([*words, *kept], monkeypatch) == "begun", capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("lr=0.1", "optimizer.lr=0.1"),
        ("epochs=3", "trainer.max_epochs=3"),
        ("crop_size=[32,32]", "data.crop_size=[32,32]"),
        ("loss=ce", "loss=cross_entropy"),
        ("loss=xent", "loss=cross_entropy"),
        ("optimizer=adam", "optimizer=adamw"),
        ("scheduler=onecycle", "scheduler=one_cycle"),
        ("decoder=subpixel", "decoder=pixel_shuffle"),
        ("data=cell", "data=cells"),
    ],
)
def test_what_was_meant_is_proposed_and_leads_past_the_error(wrong, meant, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert _tried([wrong], monkeypatch) == 1
    error = capsys.readouterr().err
    key, _, value = meant.partition("=")
    assert f"did you mean '{value if key in wrong else key}'?" in error
    assert _tried([meant], monkeypatch) == "begun", capsys.readouterr().err


@pytest.mark.parametrize(
    "word",
    ["loss=mse", "encoder=resnet", "encoder=vit", "decoder=unet", "optimizer=lion", "trainer=tpu", "foo=1,2"],
)
def test_nothing_silly_is_proposed(word, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert _tried([word], monkeypatch) == 1
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "setting", ["trainer=gpu", "trainer.accelerator=tpu", "trainer.precision=8", "trainer.strategy=foo"]
)
def test_what_is_proposed_for_a_trainer_that_cannot_be_built_builds_one(setting, tmp_path):
    import torch
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf
    from rich.console import Console

    from segup.cli.composed import configs_folder
    from segup.errors import ConfigError
    from segup.training.build import build_trainer
    from segup.training.config import TrainerConfig

    if setting == "trainer=gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")

    def build(*overrides):
        with initialize_config_dir(str(configs_folder()), version_base="1.3"):
            config = OmegaConf.to_container(compose("train", overrides=list(overrides)).trainer)
        return build_trainer(TrainerConfig(**config), tmp_path, [], 0, Console())

    with pytest.raises(ConfigError) as caught:
        build(setting)
    build(setting, ways(str(caught.value)).rstrip("."))


def _tried(arguments, monkeypatch):
    """Return what a command line comes to: "begun" where its runs would be trained, else the exit code."""

    def begun(*_, **__):
        raise BeginsError

    monkeypatch.setattr(segup.training.start, "start", begun)
    monkeypatch.setattr("segup.cli.study.run_study", begun)
    try:
        return run(arguments)
    except BeginsError:
        return "begun"
