"""A run is scored on the fold that it was validated on, however its data are named."""

import json
from pathlib import Path

import pytest

from segup.checkpoints import save_model
from segup.cli.evaluate import run
from segup.errors import ConfigError
from segup.evaluation.evaluate import evaluate_run
from segup.evaluation.runs import in_own_fold, open_run
from segup.models import create_model

CLASSES = ["background", "cytoplasm", "nucleus"]
CELLS = {"name": "cells", "classes": CLASSES}


@pytest.fixture
def a_run(tmp_path, monkeypatch):
    """Return a function: the path of a run of a seed on a fold of the embedded cells."""
    monkeypatch.chdir(tmp_path)

    def made(seed=2, **data):
        model = create_model("test_efficientnet", num_classes=3, pretrained=False, widths=[8, 8, 8, 8, 8])
        info = {"labels": {"names": CLASSES}, "config": {"seed": seed, "data": {**CELLS, **data}}}
        save_model(model, Path("last.ckpt"), info)
        return "last.ckpt"

    return made


@pytest.mark.parametrize(
    ("words", "fold"),
    [
        ([], 2),
        (["data=cells", "data.folds=5"], 2),
        (["data=./c.yaml"], 2),
        (["data=./c.yaml", "data.fold=1"], 1),
        (["data.fold=null"], 2),
    ],
)
def test_the_command_scores_the_images_that_the_run_did_not_see(a_run, words, fold):
    checkpoint = a_run(folds=5, fold=2)
    Path("c.yaml").write_text("name: cells\nclasses: [background, cytoplasm, nucleus]\nfolds: 5\n")
    assert run([checkpoint, *words, "--out", "scores.json"]) == 0
    assert json.loads(Path("scores.json").read_text())["data"]["fold"] == fold


def test_the_fold_decides_which_images_are_scored(a_run):
    opened, seen = open_run(a_run(folds=5, fold=2), device="cpu"), []

    def watch(samples, images):
        for sample in samples:
            seen.append(sample["name"])
            yield sample

    assert evaluate_run(opened, {**CELLS, "folds": 5}, watch=watch)["data"]["fold"] == 2
    assert seen == ["frame_4", "frame_5"]


@pytest.mark.parametrize(
    ("stored", "given", "fold"),
    [
        ({"folds": 5, "fold": 4}, {"folds": 5}, 4),  # which was typed, and is not the seed's
        ({"folds": 5, "fold": 4}, {"folds": 5, "fold": 0}, 0),
        ({"folds": 5, "fold": 4}, {"folds": 4}, 3),
        ({}, {"folds": 3, "fold": None}, 1),
        ({"folds": 5}, {"folds": 5}, 2),
    ],
)
def test_it_is_the_runs_own_or_its_seeds(a_run, stored, given, fold):
    opened = open_run(a_run(seed=7, **stored), device="cpu")
    assert in_own_fold(opened, {**CELLS, **given}) == {**CELLS, **given, "fold": fold}


def test_data_without_folds_stay_as_they_are(a_run):
    opened = open_run(a_run(folds=5, fold=2), device="cpu")
    assert in_own_fold(opened, CELLS) == CELLS


def test_a_fold_that_is_not_there_is_refused(a_run):
    opened = open_run(a_run(folds=5, fold=2), device="cpu")
    with pytest.raises(ConfigError, match=r"data\.fold=5: data\.folds=5 are numbered from 0\.\n  try: data\.fold=4"):
        in_own_fold(opened, {**CELLS, "folds": 5, "fold": 5})
    with pytest.raises(ConfigError, match=r"data\.folds=0 must be an int of 2 or more"):
        in_own_fold(opened, {**CELLS, "folds": 0})
