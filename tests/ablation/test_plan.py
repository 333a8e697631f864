import contextlib
import copy
import shutil

import pytest
import yaml

from segup.ablation import plan
from segup.ablation.member import Status, write_status
from segup.ablation.plan import RunSpec, StudySpec, plan_study
from segup.ablation.study import read_study
from segup.errors import ConfigError
from segup.lock import lock

SHARED = {"data": {"name": "cells", "batch_size": 8}, "trainer": {"max_epochs": 2}}


def asked(label="deconv", seed=0, **decoder):
    config = {"encoder": {"name": "resnet18"}, "decoder": {"upsampler": label, **decoder}, "seed": seed, **SHARED}
    return RunSpec(label, seed, copy.deepcopy(config))


def terms(**changes):
    values = {"command": "train.py -m", "baseline": "deconv", "match": "none", "start": None, "config": SHARED}
    return StudySpec(**{**values, "decoders": {}, **changes})


def with_key(run, group, key, value):
    return RunSpec(run.label, run.seed, {**run.config, group: {**run.config[group], key: value}})


def test_a_study_is_made_and_added_to(tmp_path):
    study = tmp_path / "ablations" / "mine"
    folders = plan_study(study, [asked(), asked(seed=1)], terms())
    assert folders == [study / "deconv" / "0", study / "deconv" / "1"]
    assert yaml.safe_load((folders[1] / "config.yaml").read_text())["seed"] == 1
    plan_study(study, [asked("bilinear"), asked()], terms(command="again"))
    read = read_study(study)
    assert [(m.label, m.seed, m.state) for m in read.members] == [
        ("deconv", 0, "waiting"),
        ("deconv", 1, "waiting"),
        ("bilinear", 0, "waiting"),
    ]
    assert read.settings["command"] == "again"


def test_a_study_that_another_process_is_making_is_waited_for(tmp_path, monkeypatch):
    """Its run folders are there before its ``study.yaml``."""
    made, mine = tmp_path / "made", tmp_path / "mine"
    plan_study(made, [asked()], terms())
    shutil.copytree(made, mine, ignore=shutil.ignore_patterns("study.yaml"))

    @contextlib.contextmanager
    def waited(folder):
        shutil.copy(made / "study.yaml", folder)  # it has ended
        with lock(folder):
            yield

    monkeypatch.setattr(plan, "lock", waited)
    plan_study(mine, [asked(seed=1)], terms())
    assert [(m.label, m.seed) for m in read_study(mine).members] == [("deconv", 0), ("deconv", 1)]


def test_a_changed_configuration_is_refused_with_every_difference_and_nothing_is_touched(tmp_path):
    plan_study(tmp_path / "mine", [asked(), asked("bilinear")], terms())
    before = {file: file.read_bytes() for file in (tmp_path / "mine").rglob("*") if file.is_file()}
    changed = [with_key(run, "trainer", "max_epochs", 3) for run in (asked(), asked("bilinear", convs=1))]
    shared = {**SHARED, "trainer": {"max_epochs": 3}}
    with pytest.raises(ConfigError) as caught:
        plan_study(tmp_path / "mine", changed, terms(match="params", config=shared))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"the study {tmp_path}/mine was begun with another configuration; nothing in it was touched:"
    assert sorted(lines[1:4]) == [
        "  ablation.match was none and is now params",
        "  decoder.convs was null and is now 1 in bilinear",
        "  trainer.max_epochs was 2 and is now 3",
    ]
    assert lines[4].startswith("  try: the values from before to continue it, or ablation.name=another_name")
    assert before == {file: file.read_bytes() for file in (tmp_path / "mine").rglob("*") if file.is_file()}


def test_a_new_decoder_has_to_share_the_configuration_too(tmp_path):
    plan_study(tmp_path / "mine", [asked()], terms())
    new = with_key(asked("nearest"), "trainer", "max_epochs", 9)
    with pytest.raises(ConfigError, match="trainer.max_epochs was 2 and is now 9\n"):
        plan_study(tmp_path / "mine", [new], terms(config={**SHARED, "trainer": {"max_epochs": 9}}))


def test_where_and_how_fast_runs_are_trained_may_change_but_for_finished_ones(tmp_path):
    first, second = plan_study(tmp_path / "mine", [asked(), asked(seed=1)], terms())
    write_status(first, Status("finished", attempt=1))
    (first / "result.json").write_text("{}")
    again = [with_key(run, "trainer", "threads", 1) for run in (asked(), asked(seed=1))]
    plan_study(tmp_path / "mine", again, terms(baseline="bilinear"))
    assert "threads" not in yaml.safe_load((first / "config.yaml").read_text())["trainer"]
    assert yaml.safe_load((second / "config.yaml").read_text())["trainer"]["threads"] == 1


def test_what_is_no_study_is_left_alone(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("keep")
    with pytest.raises(ConfigError, match="notes exists and is no study; nothing in it was touched"):
        plan_study(tmp_path / "notes", [asked()], terms())
    assert [file.name for file in (tmp_path / "notes").iterdir()] == ["a.txt"]


def test_one_run_is_asked_for_once(tmp_path):
    with pytest.raises(ConfigError, match="two runs of the sweep are 'deconv' with seed 1: name each once"):
        plan_study(tmp_path / "mine", [asked(seed=1), asked(seed=1)], terms())
    assert not (tmp_path / "mine").exists()
