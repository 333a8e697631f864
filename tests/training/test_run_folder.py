import errno
import json
import math
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch

from segup.atomic import atomic_write
from segup.errors import ConfigError, DataError
from segup.lock import HeldError, lock
from segup.training.checkpoints import AtomicCheckpointIO
from segup.training.config import RunConfig
from segup.training.history import CsvHistory, columns_of, read_history
from segup.training.run_folder import (
    as_folder,
    clear_unstarted,
    discard_unstarted,
    environment,
    run_folder,
    write_json,
    write_yaml,
)


def config(**changes):
    values = {"encoder": {"name": "resnet18"}, "decoder": {"upsampler": "deconv"}, **changes}
    return RunConfig.of(values)


def enter(does=lambda folder: None, **changes):
    with run_folder(config(**changes)) as folder:
        does(folder)
        return folder


def fail(does, **changes):
    """Let a run end in an error after it did something in its folder, which is returned."""
    folders = []

    def work(folder):
        folders.append(folder)
        does(folder)
        raise DataError("a damaged image")

    with pytest.raises(DataError, match="a damaged image"):
        enter(work, **changes)
    return folders[0]


def begun(folder, **changes):
    """What a run has written that was killed before its first checkpoint."""
    write_yaml(folder / "config.yaml", asdict(config(**changes)))
    CsvHistory(folder / "metrics.csv").log_metrics({"train/loss": 1.0, "epoch": 0}, 0)
    (folder / "ladder.txt").touch()
    (folder / "lock").touch()


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_two_runs_in_one_second_have_two_folders():
    with run_folder(config()) as one, run_folder(config()) as two, run_folder(config()) as three:
        folders = {one, two, three}
    assert len(folders) == 3
    assert all(folder.parts[:3] == ("outputs", "train", "deconv") for folder in folders)


def test_an_existing_run_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    with run_folder(config(run_dir="run")) as folder:
        assert folder.name == "run"  # empty: nothing to lose
        (folder / "last.ckpt").write_text("precious")
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    with (
        pytest.raises(
            ConfigError, match="run_dir run exists already; nothing in it was touched.\n.*ckpt_path=run/last"
        ),
        run_folder(config(run_dir="run")),
    ):
        pass
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="run_dir file exists already"), run_folder(config(run_dir="file")):
        pass
    with (
        pytest.raises(ConfigError, match="run_dir file/run cannot be made: Not a directory"),
        run_folder(config(run_dir="file/run")),
    ):
        pass


@pytest.mark.parametrize("foreign", ["config.yaml", "photo.jpg", "lock/x"])
def test_a_folder_of_the_persons_own_stays_as_it_is(tmp_path, foreign):
    (tmp_path / "mine" / foreign).parent.mkdir(parents=True)
    (tmp_path / "mine" / foreign).write_text("mine: 1")
    if foreign == "lock/x":
        (tmp_path / "mine" / "y").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="exists already"), run_folder(config(run_dir="mine")):
        pass
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "mine" / foreign).read_text() == "mine: 1"


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    folder = tmp_path / "run"
    begun(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / ".segup-0123456789abcdef.part").write_text("half")
    with run_folder(config(run_dir="run")):
        assert {file.name for file in folder.iterdir() if file.suffix != ".part"} == {
            "config.yaml", "lock", "notes.txt"
        }  # fmt: skip
    with pytest.raises(ConfigError, match="run_dir run exists already"), run_folder(config(run_dir="run", seed=1)):
        pass
    (folder / "last.ckpt").touch()
    with pytest.raises(ConfigError, match="run_dir run exists already"), run_folder(config(run_dir="run")):
        pass


def test_a_run_that_another_process_trains_is_left_to_it(tmp_path, monkeypatch):
    begun(tmp_path / "run")
    hold = (
        "import pathlib, sys; from segup.lock import lock\n"
        "with lock(pathlib.Path('run')): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdout.readline()
        monkeypatch.setattr(lock.__wrapped__, "__defaults__", ("lock", 0.1))
        for given in ({"run_dir": "run"}, {"ckpt_path": "run/last.ckpt"}):
            with pytest.raises(HeldError, match="another process works in run and holds run/lock; nothing was changed"):
                enter(**given)
    finally:
        holder.communicate()


def test_going_on_from_the_best_checkpoint_does_not_replace_the_last(tmp_path):
    for name in ("best.ckpt", "last.ckpt"):
        (tmp_path / name).write_text(name)
    with (
        pytest.raises(ConfigError, match=r"best.ckpt is not the last checkpoint .*\n  try: another run_dir, or ckpt_p"),
        run_folder(config(ckpt_path=str(tmp_path / "best.ckpt"))),
    ):
        pass
    with run_folder(config(ckpt_path=str(tmp_path / "best.ckpt"), run_dir="new")) as folder:
        assert folder.name == "new"
    with run_folder(config(ckpt_path=str(tmp_path / "last.ckpt"), run_dir=str(tmp_path))) as folder:
        assert folder == tmp_path  # the command that began it, with ckpt_path beside it
    with run_folder(config(ckpt_path=str(tmp_path / "last.ckpt"))) as folder:
        assert folder == tmp_path


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "", "..", "a/../../b", "a\0b"])
def test_a_name_leads_nowhere_else(tmp_path, name):
    with pytest.raises(ConfigError, match=r"^name=.* must name a folder below outputs/\.\n  try: name=<name>"):
        config(name=name)
    assert as_folder(name) not in ("..", ".")
    assert "/" not in as_folder(name)


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
        atomic_write(tmp_path / "file" / "last.ckpt", b"x")


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
    assert tuple(read_history(path)[0]) == columns_of()
    resumed = CsvHistory(path, first_step=2)
    resumed.log_metrics({"val/miou": 0.5, "epoch": 1}, 2)
    rows = read_history(path)
    assert [(row["step"], row["train/loss"] != "", row["val/miou"]) for row in rows] == [
        ("1", True, ""), ("2", True, ""), ("3", False, "0.5")
    ]  # fmt: skip


def test_a_run_that_never_started_leaves_nothing_and_one_that_did_stays(tmp_path):
    def never_started(folder):
        (folder / "config.yaml").write_text("seed: 0")
        CsvHistory(folder / "metrics.csv")

    def noted(folder):
        (folder / "notes.txt").write_text("mine")

    fail(never_started)
    assert not (tmp_path / "outputs").exists()
    (tmp_path / "outputs").mkdir()
    fail(never_started)
    assert list((tmp_path / "outputs").iterdir()) == []  # it was there before
    (tmp_path / "outputs").rmdir()
    folder = fail(begun, run_dir="run")
    assert {file.name for file in folder.iterdir()} == {"config.yaml", "ladder.txt", "lock", "metrics.csv"}
    folder = fail(noted, run_dir="mine")
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "results", [["best.ckpt"], ["result.json"], ["upsampler.ckpt"], ["upsampler.ckpt", "reconstruction.json"]]
)
def test_what_a_run_has_trained_is_never_begun_anew_or_cleared(tmp_path, results):
    folder = tmp_path / "run"
    folder.mkdir()
    begun(folder)
    for name in results:
        (folder / name).write_text("precious")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(
        ConfigError, match=r"run_dir run exists already; nothing in it was touched\.\n  try: another run"
    ):
        enter(run_dir="run")
    clear_unstarted(folder)
    discard_unstarted(folder, [folder])
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_folder_that_the_person_made_stays_when_the_run_is_refused(tmp_path):
    def never_started(folder):
        for name in ("config.yaml", "ladder.txt", "data.txt", "weights.txt"):
            (folder / name).touch()

    (tmp_path / "mine").mkdir()
    assert list(fail(never_started, run_dir="mine").iterdir()) == []
    fail(never_started, run_dir="a/b/c")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "a").mkdir()
    fail(never_started, run_dir="a/b/c")
    assert list((tmp_path / "a").iterdir()) == []
