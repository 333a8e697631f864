"""A study, its command and its configuration, written by segup 0.1.0 (commit 4de1d33), still work."""

import csv
import json
import shutil
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from segup.cli.composed import configs_folder
from segup.cli.train import run
from segup.training.config import RunConfig

STUDY = Path(__file__).with_name("study_0_1")
RECIPE = ["loss.label_smoothing=0.1", "data.augment.rotate_90=0.0"]
"""Defaults of that day that changed since: they are said, so that the command means what it meant."""
COMMAND = [
    *("-m", "decoder=deconv,bilinear", "seed=0,1", "encoder=segnet", "encoder.options.widths=[2,3,4]"),
    *("encoder.options.convs=1", "decoder.widths=[2,2]", "data.crop_size=[33,35]", "data.batch_size=2"),
    *("data.samples_per_epoch=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.threads=1"),
]


def words(config, path=""):
    """Return ``place=value`` for every value that a configuration holds."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from words(value, f"{path}{key}.")
        else:
            yield f"{path}{key}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"


def test_every_word_of_its_configuration_is_a_word_today():
    stored = yaml.safe_load((STUDY / "bilinear" / "1" / "config.yaml").read_text())
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        composed = compose("train", ["encoder=segnet", "decoder=bilinear", *words(stored)])
    today = set(words(OmegaConf.to_container(composed)))
    assert set(words(stored)) <= today
    assert RunConfig.of(stored).seed == 1


def test_its_command_finds_it_finished_and_reports_the_same_scores(tmp_path, monkeypatch, capsys):
    study = shutil.copytree(STUDY, tmp_path / "ablations" / "stored")
    monkeypatch.chdir(tmp_path)
    assert run([*COMMAND, *RECIPE, "ablation.name=stored"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "study ablations/stored: 4 runs, 4 finished before"
    scores = {
        (label, seed): json.loads((STUDY / label / seed / "result.json").read_text())["last"]["miou"]
        for label in ("deconv", "bilinear")
        for seed in "01"
    }
    with (study / "report.csv").open() as rows:
        assert {(row["decoder"], row["seed"]): float(row["miou"]) for row in csv.DictReader(rows)} == scores
