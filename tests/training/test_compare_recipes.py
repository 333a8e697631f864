"""The script that holds the default recipe against a plain one: its table, and that it goes on where it was."""

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "compare_recipes.py"


def run(place, *words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--out", str(place), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    """What ``--show`` prints of 9 steps."""
    spec = importlib.util.spec_from_file_location("compare_recipes", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--out", str(tmp_path), "--show", "--steps", "9"])

    def of(table):
        (tmp_path / "recipes.csv").write_text(table)
        assert script.main() == 0
        return capsys.readouterr().out

    return of


def test_the_table_has_a_mean_and_its_spread(shown):
    columns = "set,recipe,steps,seed,miou,pixel_accuracy,iou,seconds\n"
    lines = "cells,plain,9,0,0.5,0.9,[],1\ncells,default,9,0,0.6,0.9,[],1\ncells,default,9,1,0.7,0.9,[],1\n"
    assert (
        shown(columns + lines)
        == "| 9 steps | cells |\n| --- | --- |\n| plain | 0.500 |\n| default | 0.650 ± 0.071 (2 seeds) |\n"
    )


def test_each_set_judges_the_recipe_that_is_best_on_the_others(shown):
    scores = {  # gains over the plain recipe: a has 4, 0, 0 hundredths, b has 1, 1, 1
        "plain": {"cells": 0.5, "camvid": 0.4, "cracks": 0.7},
        "a": {"cells": 0.54, "camvid": 0.4, "cracks": 0.7},
        "b": {"cells": 0.51, "camvid": 0.41, "cracks": 0.71},
        "cells alone": {"cells": 0.9},
    }
    lines = ["set,recipe,steps,seed,miou,pixel_accuracy,iou,seconds"]
    lines += [f"{name},{recipe},9,0,{miou},1,[],1" for recipe, own in scores.items() for name, miou in own.items()]
    assert shown("\n".join([*lines, ""])).splitlines()[-5:] == [
        "left out: best on the others, its gain there → on the set left out",
        "cells: b, +0.010 → +0.010",
        "camvid: a, +0.020 → +0.000",
        "cracks: a, +0.020 → +0.000",
        "mean on the sets left out: +0.003",
    ]


@pytest.mark.slow
def test_a_run_that_is_there_is_not_done_again(tmp_path):
    words = ["--sets", "cells", "--steps", "2", "--seeds", "0", "--recipe", "nearest=decoder=nearest", "--threads", "1"]
    run(tmp_path, *words, "--recipes", "plain,nearest")
    first = list(csv.DictReader((tmp_path / "recipes.csv").open(newline="")))
    assert [row["recipe"] for row in first] == ["plain", "nearest"]
    assert all(0 < float(row["miou"]) < 1 for row in first)
    shown = run(tmp_path, *words)
    assert "cells default seed 0" in shown
    assert "seed 0: mIoU" in shown
    assert "plain seed 0" not in shown
    assert list(csv.DictReader((tmp_path / "recipes.csv").open(newline="")))[:2] == first
