"""segup.sweep is the command with -m: a study of the same folder, and its report."""

import subprocess
import sys
from multiprocessing.spawn import get_preparation_data

import pytest

import segup
from segup.ablation.processes import _script_left_out
from segup.ablation.study import read_study
from segup.errors import ConfigError

SCRIPT = """
import segup
study = segup.sweep(
    "cells", "ablation.name=mine", decoder=["bilinear", "nearest"], seed=range(2, 3), encoder={"pretrained": False},
    data={"crop_size": [33, 35], "batch_size": 2, "samples_per_epoch": 2, "num_workers": 0},
    trainer={"max_epochs": 1, "accelerator": "cpu"}, **{"decoder.widths": [[4, 4, 4, 4, 4]]},
)
print(study, sorted(study.finished()), study.report())
assert "<iframe srcdoc=" in study.report()._repr_html_()
"""


@pytest.mark.slow
def test_a_script_without_a_guard_trains_a_study_once_and_gets_its_report(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    page = "ablations/mine/report.html"
    assert f"Study('ablations/mine', 2 of 2 runs finished) ['bilinear', 'nearest'] {page}" in done.stdout
    assert done.stdout.count("study ablations/mine: 2 runs") == 1
    study = read_study(tmp_path / "ablations" / "mine")
    assert [(member.label, member.seed) for member in study.members] == [("bilinear", 2), ("nearest", 2)]
    assert study.settings["command"].startswith("segup train -m data=cells ablation.name=mine decoder=bilinear,nearest")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder": ["deconv", "bilinaer"]}, "did you mean 'bilinear'?"),
        ({"seed": range(2), "run_dir": "x"}, "run_dir is for a single run"),
        ({"seed": [0, 1], "hydra/launcher": "joblib"}, "hydra/launcher=joblib is for the command line"),
        ({"seed": [0, 1], "ablation": {"margin": -1}}, "margin=-1"),
        ({"seed": []}, "seed="),
        ({"ablation.name": ["a", "b"]}, "one sweep is one study"),
    ],
)
def test_what_the_command_refuses_is_raised_and_leaves_nothing(tmp_path, monkeypatch, values, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        segup.sweep("cells", **values)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_their_own_processes_never_run_the_callers_script():
    before = sys.modules["__main__"]
    with _script_left_out():
        prepared = get_preparation_data("run")
    assert not {"init_main_from_path", "init_main_from_name"} & prepared.keys()
    assert sys.modules["__main__"] is before


def test_a_study_of_which_no_run_finishes_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segup.cli.study.Processes.begin", lambda processes, folder: None)
    with pytest.raises(segup.errors.DataError, match="none of 2 runs finished:\n  deconv seed 0: waiting"):
        segup.sweep("cells", seed=[0, 1])
