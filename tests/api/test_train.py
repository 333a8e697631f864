"""segup.train is the command: its words, its folder, its numbers, and its errors as exceptions."""

import os
import random
import warnings

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir

import segup
from segup.api.train import run_words
from segup.checkpoints import read_checkpoint
from segup.cli.train import run as command
from segup.errors import ConfigError, DataError, SegupError

TINY = {
    "encoder": {"name": "test_efficientnet", "pretrained": False},
    "decoder": {"widths": [4] * 5},
    "data": {"crop_size": (33, 35), "batch_size": 2, "samples_per_epoch": 4},
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
}
TYPED = [
    "encoder.name=test_efficientnet",
    "encoder.pretrained=false",
    "decoder.widths=[4,4,4,4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights(folder):
    return read_checkpoint(folder / "last.ckpt")["state_dict"]


def lightnings():
    return {name: value for name, value in os.environ.items() if name.startswith("PL_")}


def test_a_run_is_the_commands_in_weights_configuration_and_folder_and_leaves_its_caller_alone(tmp_path, capsys):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "mine.yaml").write_text("a: 1\n")
    torch.manual_seed(5)
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    before = lightnings(), torch.get_num_threads(), list(warnings.filters)
    with initialize_config_dir(str(tmp_path / "theirs"), version_base="1.2"):
        run = segup.train("cells", "data.num_workers=0", seed=np.int64(3), **TINY)
        assert compose("mine").a == 1
    assert torch.equal(drawn[0], torch.get_rng_state())
    assert drawn[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert before == (lightnings(), torch.get_num_threads(), list(warnings.filters))
    assert os.getcwd() == str(tmp_path)

    assert command(["data=cells", "seed=3", "data.num_workers=0", "run_dir=typed", *TYPED]) == 0
    assert run.path.parts[:3] == ("outputs", "train", "deconv")
    assert run.path.name.startswith("3-")
    ours, theirs = weights(run.path), weights(tmp_path / "typed")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (run.path, tmp_path / "typed")]
    assert {**configs[0], "run_dir": "typed"} == configs[1]
    assert {file.name for file in run.path.iterdir()} == {file.name for file in (tmp_path / "typed").iterdir()}

    assert run.scores["miou"] == run.result["last"]["miou"]
    assert repr(run) == f"Run('{run.path}', deconv, seed 3, mIoU {run.scores['miou']:.4f})"
    capsys.readouterr()
    run.show()
    shown = capsys.readouterr().out
    assert "deconv k4 s2 p1" in shown
    assert f"{run.path}/curves.png\n{run.path}/predictions.png\n" in shown
    page = run._repr_html_()
    assert page.count("data:image/png;base64,") == 2
    assert "deconv k4 s2 p1" in page

    model = segup.load(run)
    assert model.predict(np.zeros((41, 50, 3), np.uint8)).shape == (41, 50)
    with pytest.raises(ConfigError, match="has finished its 1 epochs"):
        segup.train(ckpt_path=run.path / "last.ckpt")


@pytest.mark.parametrize(
    ("data", "words", "values", "message"),
    [
        ("cels", (), {}, "data=cels: unknown data option 'cels': did you mean 'cells'?"),
        ("my.yaml", (), {}, "data=my.yaml: there is no such file"),
        ("", (), {}, "data='' must name a data set or a file"),
        (None, (), {}, "data=None must be a data set's name, a file, or a dictionary"),
        ({}, (), {}, r"data=\{\} must have a name"),
        ("cells", ("-m",), {}, "'-m' is no override"),
        ("cells", ("deconv",), {}, "'deconv' is no override"),
        ("cells", ("seed=0,1",), {}, "seed=0,1: several values are for several runs"),
        ("cells", (), {"decoder": ["deconv", "bilinear"]}, "a run has one decoder, and a sweep has a run for each"),
        ("cells", (), {"seed": [0, 1]}, r"seed=\[0, 1\] must be an int"),
        ("cells", (), {"seed": object()}, "seed=<object object at .*> must be text, a number"),
        ("cells", (), {"trainer": {"max_epoch": 3}}, "unknown key 'trainer.max_epoch': did you mean 'max_epochs'?"),
        ("cells", (), {"experiment": "ablation"}, "asks for several runs.\n  try: segup.sweep"),
    ],
)
def test_what_the_command_refuses_is_raised_with_its_words_and_leaves_nothing(tmp_path, data, words, values, message):
    with pytest.raises(SegupError, match=message):
        segup.train(data, *words, **values)
    assert list(tmp_path.iterdir()) == []


def test_a_later_data_replaces_an_earlier_one_wholly():
    mine = {"name": "folder", "root": "mine", "classes": ["a", "b"]}
    assert run_words(mine, ["data=cells"], {}) == ["data=cells"]
    assert run_words(mine, [], {"data": "cells"}) == ["data=cells"]
    assert run_words("cells", [], {"data": mine}) == run_words(mine, [], {})
    assert run_words("cells", ["~decoder.upsampler_options"], {})[-1] == "~decoder.upsampler_options"
    assert run_words("cells", [], {"data": {"batch_size": 2}}) == ["data=cells", "data.batch_size=2"]


def test_a_file_and_a_dictionary_of_data_are_found_where_they_lie(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "my data.yaml").write_text("root: it's, here\nclasses: [soil, big leaf]\n")
    with pytest.raises(DataError, match=r"there/it's, here"):
        segup.train(tmp_path / "there" / "my data.yaml")
    (tmp_path / "my.yaml").write_text("root: here\nclasses: [soil, leaf]\n")
    with pytest.raises(DataError, match="here"):
        segup.train("my.yaml")
    mapping = {"name": "folder", "root": tmp_path / "gone", "classes": ("a", "b"), "mask_values": {0: 0, "#ff8000": 1}}
    with pytest.raises(DataError, match="gone"):
        segup.train(mapping)
