"""The script that holds the default recipe against a plain one: its table, and that it goes on where it was."""

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from segup.errors import SegupError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "compare_recipes.py"


def run(place, *words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--out", str(place), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


COLUMNS = "set,recipe,steps,seed,miou,pixel_accuracy,iou,seconds"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("compare_recipes", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def shown(script, tmp_path, capsys):
    """What ``--show`` prints of 9 steps."""

    def of(table, *words):
        (tmp_path / "recipes.csv").write_text(table)
        assert script.run(["--out", str(tmp_path), "--show", "--steps", "9", *words]) == 0
        return capsys.readouterr().out

    return of


def test_the_table_has_a_mean_and_its_spread(shown):
    lines = "cells,plain,9,0,0.5,0.9,[],1\ncells,default,9,0,0.6,0.9,[],1\ncells,default,9,1,0.7,0.9,[],1\n"
    assert (
        shown(f"{COLUMNS}\n{lines}")
        == "| 9 steps | cells |\n| --- | --- |\n| plain | 0.500 |\n| default | 0.650 ± 0.071 (2 seeds) |\n"
    )


def test_each_set_judges_the_recipe_that_is_best_on_the_others(shown):
    scores = {  # gains over the plain recipe: a has 4, 0, 0 hundredths, b has 1, 1, 1
        "plain": {"cells": 0.5, "camvid": 0.4, "cracks": 0.7},
        "a": {"cells": 0.54, "camvid": 0.4, "cracks": 0.7},
        "b": {"cells": 0.51, "camvid": 0.41, "cracks": 0.71},
        "cells alone": {"cells": 0.9},
    }
    lines = [COLUMNS]
    lines += [f"{name},{recipe},9,0,{miou},1,[],1" for recipe, own in scores.items() for name, miou in own.items()]
    assert shown("\n".join([*lines, ""])).splitlines()[-5:] == [
        "left out: best on the others, its gain there → on the set left out",
        "cells: b, +0.010 → +0.010",
        "camvid: a, +0.020 → +0.000",
        "cracks: a, +0.020 → +0.000",
        "mean on the sets left out: +0.003",
    ]


def test_the_table_is_of_what_is_asked_for(shown):
    lines = "cells,plain,9,0,0.5,0.9,[],1\ncells,default,9,0,0.6,0.9,[],1\ncamvid,default,9,0,0.7,0.9,[],1\n"
    assert (
        shown(f"{COLUMNS}\n{lines}", "--sets", "cells", "--recipes", "default")
        == "| 9 steps | cells |\n| --- | --- |\n| default | 0.600 |\n"
    )


def test_nonsense_ends_in_a_sentence_before_the_first_run(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "train_plain", None)
    monkeypatch.setattr(script, "train_segup", None)

    def said(*words, out=tmp_path):
        assert script.run(["--out", str(out), "--sets", "cells", *words]) == 1
        return capsys.readouterr().err

    assert said("--sets", "cell").startswith("ConfigError: --sets cell: unknown set 'cell': did you mean 'cells'?")
    assert said("--recipes", "foo") == "ConfigError: --recipes foo: unknown recipe 'foo': known: default, plain\n"
    for option, number in (("--steps", "0"), ("--steps", "-3"), ("--threads", "-1"), ("--threads", "0")):
        assert said(option, number) == f"ConfigError: {option} {number} must be a whole number of 1 or more\n"
    for number in ("nan", "-1", "0"):
        assert said("--minutes", number) == f"ConfigError: --minutes {number} must be a number above 0\n"
    for word in ("=x=1", "a", "a=", "../a=x=1", "a,b=x=1"):
        assert f"--recipe {word} must be NAME=WORDS, such as" in said("--recipe", word)
    assert said("--recipe", 'a="') == 'ConfigError: --recipe a=": no closing quotation\n'
    for name in ("plain", "default"):
        assert f"there is a recipe '{name}' already.\n  try: another name." in said("--recipe", f"{name}=seed=1")
    assert "unknown key 'decoder.fitt'" in said("--recipe", "a=decoder.fitt=correct", "--recipes", "a")
    absent = said("--sets", "camvid", "--recipes", "plain", "--data", str(tmp_path / "absent"))
    assert absent.startswith("DataError: ")
    assert absent.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_of_another_origin_is_refused(script, tmp_path, capsys):
    file = tmp_path / "recipes.csv"
    for table, why in (
        ("set,recipe,steps,seed\n", "it has no column miou"),
        (f"{COLUMNS}\ncells,plain,9\n", "row 1"),
        (f"{COLUMNS}\ncells,plain,many,0,0.5,0.9,[],1\n", "row 1"),
    ):
        file.write_text(table)
        assert script.run(["--out", str(tmp_path), "--show"]) == 1
        assert capsys.readouterr().err == f"DataError: {file} is not what this script writes: {why}\n"


def test_a_name_keeps_its_words(script, tmp_path, monkeypatch, capsys):
    trained = []

    def train_segup(words, split, folder):
        trained.append(folder.name)
        folder.mkdir(parents=True)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return {"miou": 0.5, "pixel_accuracy": 0.9, "iou": [0.5]}

    monkeypatch.setattr(script, "train_segup", train_segup)
    file = tmp_path / "recipes.csv"
    file.write_text(f"{COLUMNS}\ncells,old,2,0,0.5,0.9,[],1\n")  # of a version that kept no words
    common = ["--out", str(tmp_path), "--sets", "cells", "--steps", "2", "--seeds", "0"]

    def run(*recipes):
        names = ",".join(word.partition("=")[0] for word in recipes)
        code = script.run([*common, *(part for word in recipes for part in ("--recipe", word)), "--recipes", names])
        return code, capsys.readouterr().err

    assert run("old=decoder=nearest", "new=decoder=nearest  loss=ce_dice") == (0, "")
    assert [row["words"] for row in csv.DictReader(file.open())] == ["", "decoder=nearest loss=ce_dice"]
    assert run("new=decoder=nearest loss=ce_dice", "other=decoder=nearest") == (0, "")
    assert trained == ["cells-new-2-0", "cells-other-2-0"]
    assert run("new=decoder=bilinear") == (
        1,
        "ConfigError: --recipe new=decoder=bilinear: its runs were of decoder=nearest loss=ce_dice.\n"
        "  try: another name.\n",
    )
    stopped = (130, "RunInterruptedError: stopped; the same command goes on\n")
    assert run("third=decoder=nearest") == stopped
    assert "its runs were of decoder=nearest." in run("third=decoder=bilinear")[1]


def test_time_that_is_over_begins_no_second_run(script, tmp_path, monkeypatch, capsys):
    scores = {"miou": 0.5, "pixel_accuracy": 0.9, "iou": [0.5]}
    monkeypatch.setattr(script, "train_plain", lambda *arguments: time.sleep(0.1) or {**scores})
    words = ["--out", str(tmp_path), "--sets", "cells", "--recipes", "plain", "--seeds", "0,1,2", "--minutes", "1e-9"]
    for seed in (0, 1):
        assert script.run(words) == 0
        said = capsys.readouterr().out
        assert said.count("mIoU") == 1
        assert f"cells plain seed {seed}" in said
        assert "minutes are over; the same command goes on" in said


def test_a_child_is_waited_for_until_it_has_saved(script, tmp_path, monkeypatch):
    """Ctrl-C reaches this process alone here: the child is told, and ends by itself."""
    code = (
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n    time.sleep(0.3)\n    pathlib.Path(sys.argv[1], 'saved').touch()\n    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "pathlib.Path(sys.argv[1], 'begun').touch()\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(script, "SEGUP", (sys.executable, "-c", code))

    def interrupt():
        until = time.monotonic() + 50
        while not (tmp_path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            script._segup(str(tmp_path))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "saved").exists()
    monkeypatch.setattr(script, "SEGUP", (sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(SegupError, match="segup train ended with exit code 1: a=1"):
        script._segup("train", "a=1")


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
