"""A member of a study is a decoder, a seed and a fold."""

import copy

import pytest
import yaml

from segup.ablation.member import member_path
from segup.ablation.plan import RunSpec, StudySpec, plan_study
from segup.ablation.study import read_settings, read_study
from segup.errors import ConfigError, DataError

CONFIG = {
    "encoder": {"name": "segnet"}, "decoder": {"topology": "unet", "upsampler": "deconv"},
    "data": {"name": "cells", "folds": 5, "fold": None},
}  # fmt: skip


def asked(label, seed, fold=None, **data):
    config = copy.deepcopy(CONFIG)
    config["data"] |= {"fold": fold, **data}
    return RunSpec(label, seed, {**config, "seed": seed})


def terms():
    return StudySpec("command", "deconv", "none", None, {"data": {"folds": 5}}, {})


def test_seed_i_validates_on_fold_i_for_all_decoders(tmp_path):
    runs = [asked(label, seed) for label in ("deconv", "bilinear") for seed in (0, 1, 6)]
    folders = plan_study(tmp_path / "study", runs, terms())
    names = ["0-fold0", "1-fold1", "6-fold1"]
    assert [folder.relative_to(tmp_path / "study").as_posix() for folder in folders] == [
        f"{label}/{name}" for label in ("deconv", "bilinear") for name in names
    ]
    assert [yaml.safe_load((f / "config.yaml").read_text())["data"]["fold"] for f in folders] == [0, 1, 1] * 2
    study = read_study(tmp_path / "study")
    assert [member.name for member in study.members][:3] == [
        "deconv seed 0 fold 0",
        "deconv seed 1 fold 1",
        "deconv seed 6 fold 1",
    ]
    assert plan_study(tmp_path / "study", runs, terms()) == folders  # the same command continues it


def test_a_seed_may_validate_on_several_folds_and_no_run_is_asked_for_twice(tmp_path):
    folders = plan_study(tmp_path / "study", [asked("deconv", 0, fold) for fold in range(5)], terms())
    assert [folder.name for folder in folders] == [f"0-fold{fold}" for fold in range(5)]
    assert read_settings(tmp_path / "study")["members"] == [["deconv", 0, fold] for fold in range(5)]
    with pytest.raises(ConfigError, match="two runs of the sweep are 'deconv' with seed 1 fold 1: name each once"):
        plan_study(tmp_path / "other", [asked("deconv", 1), asked("deconv", 1, 1)], terms())


def test_studies_without_folds_are_as_they_were(tmp_path):
    (folder,) = plan_study(tmp_path / "study", [asked("deconv", 3, folds=None)], terms())
    assert folder.name == "3"
    assert read_settings(tmp_path / "study")["members"] == [["deconv", 3]]
    assert member_path(tmp_path, "deconv", 3) == tmp_path / "deconv" / "3"
    (tmp_path / "study" / "study.yaml").write_text(yaml.safe_dump({"members": [["deconv", 3], ["deconv", 3, 0, 0]]}))
    with pytest.raises(DataError, match=r"study.yaml is not what segup writes: members\[1\]"):
        read_settings(tmp_path / "study")
