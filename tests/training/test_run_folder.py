import errno
import json
import math

import pytest
import torch

from segup.errors import ConfigError, DataError
from segup.training.checkpoints import AtomicCheckpointIO
from segup.training.history import COLUMNS, CsvHistory, read_history
from segup.training.run_folder import discard_unstarted, environment, make_run_folder, write_json
from segup.training.whole import write_whole


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_two_runs_in_one_second_have_two_folders():
    folders = {make_run_folder(None, "train", "deconv", 0) for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parts[:3] == ("outputs", "train", "deconv") for folder in folders)


def test_an_existing_run_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    assert make_run_folder("run", "n", "u", 0).name == "run"  # empty: nothing to lose
    (tmp_path / "run" / "last.ckpt").write_text("precious")
    with pytest.raises(
        ConfigError, match="run_dir run exists already; nothing in it was touched.\n.*ckpt_path=run/last"
    ):
        make_run_folder("run", "n", "u", 0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="run_dir file exists already"):
        make_run_folder("file", "n", "u", 0)
    with pytest.raises(ConfigError, match="run_dir file/run cannot be made: Not a directory"):
        make_run_folder("file/run", "n", "u", 0)


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(tmp_path, monkeypatch):
    path, saver = tmp_path / "last.ckpt", AtomicCheckpointIO()
    saver.save_checkpoint({"step": 1}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        DataError, match=r"last.ckpt cannot be written: No space left on device; the one before it is whole"
    ):
        saver.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="file/last.ckpt cannot be written: .*; there is none before it"):
        write_whole(tmp_path / "file" / "last.ckpt", b"x")


def test_json_has_null_where_a_number_is_missing(tmp_path):
    write_json(tmp_path / "r.json", {"a": [math.nan, 1.5], "b": {"c": math.inf}, "d": ("x", None)})
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}, "d": ["x", None]}


def test_the_environment_names_versions_and_machine():
    found = environment()
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert found["git_commit"] is None or len(found["git_commit"]) == 40  # segup's own, wherever it is called from


def test_history_keeps_rows_up_to_the_resumed_step(tmp_path):
    path = tmp_path / "metrics.csv"
    history = CsvHistory(path)
    for step in range(4):
        history.log_metrics({"train/loss": 1.0 / (step + 1), "epoch": 0, "unknown": 3}, step)
    history.log_metrics({"epoch": 0}, 4)
    assert [row["step"] for row in read_history(path)] == ["1", "2", "3", "4"]
    assert tuple(read_history(path)[0]) == COLUMNS
    resumed = CsvHistory(path, first_step=2)
    resumed.log_metrics({"val/miou": 0.5, "epoch": 1}, 2)
    rows = read_history(path)
    assert [(row["step"], row["train/loss"] != "", row["val/miou"]) for row in rows] == [
        ("1", True, ""), ("2", True, ""), ("3", False, "0.5")
    ]  # fmt: skip


def test_a_run_that_never_started_leaves_nothing_and_one_that_did_stays(tmp_path):
    folder = make_run_folder(None, "train", "deconv", 0)
    (folder / "config.yaml").write_text("seed: 0")
    history = CsvHistory(folder / "metrics.csv")
    assert discard_unstarted(folder)
    assert not (tmp_path / "outputs" / "train" / "deconv").exists()
    folder = make_run_folder("run", "train", "deconv", 0)
    history = CsvHistory(folder / "metrics.csv")
    history.log_metrics({"train/loss": 1.0, "epoch": 0}, 0)
    assert not discard_unstarted(folder)
    assert (folder / "metrics.csv").exists()
