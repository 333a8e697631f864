"""A run that was stopped goes on to the numbers of one that was not."""

import shutil
import signal
from contextlib import contextmanager

import pytest
import torch

import segup.atomic as atomic_files
from segup.cli.train import run
from segup.errors import ConfigError, DataError, RunInterruptedError
from segup.training.checkpoints import take_over
from segup.training.config import RunConfig
from segup.training.module import SegmentationModule
from segup.training.resume import read_position, resumed_config


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


CONSTANT = {"name": "constant"}


class PowerCutError(Exception):
    """The process ends here: nothing is saved."""


@contextmanager
def stopped_at(number, stop):
    """Within it, the training step of that number calls ``stop`` before it does its work."""
    step, count = SegmentationModule.training_step, 0

    def counted(self, batch, batch_idx):
        nonlocal count
        count += 1
        if count == number:
            stop()
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", counted)
        yield


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def power_cut():
    raise PowerCutError


@pytest.mark.parametrize(
    ("stop", "at"),
    [(ctrl_c, 1), (ctrl_c, 5), (power_cut, 11)]
    + [
        pytest.param(*case, marks=pytest.mark.slow)
        for case in ((ctrl_c, 2), (ctrl_c, 9), (ctrl_c, 11), (power_cut, 5), (power_cut, 9))
    ],
)
def test_a_stopped_run_continues_to_the_same_numbers(small_run, whole_run, tmp_path, stop, at):
    """In the first step, in the first of an epoch, in the last but one; ``-m slow`` has more of them."""
    whole, whole_folder = whole_run
    with stopped_at(at, stop), pytest.raises((RunInterruptedError, PowerCutError)):
        small_run("stopped")
    result, folder = small_run("stopped", ckpt_path=str(tmp_path / "stopped" / "last.ckpt"))
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    assert same(weights(folder / "last.ckpt"), weights(whole_folder / "last.ckpt"))
    assert same(weights(folder / "best.ckpt"), weights(whole_folder / "best.ckpt"))
    assert (folder / "metrics.csv").read_text() == (whole_folder / "metrics.csv").read_text()


def test_a_run_that_goes_on_in_another_folder_takes_its_checkpoints_along(small_run, whole_run, tmp_path):
    whole, whole_folder = whole_run
    with stopped_at(10, power_cut), pytest.raises(PowerCutError):
        small_run("cut")
    result, folder = small_run("elsewhere", ckpt_path=str(tmp_path / "cut" / "last.ckpt"))
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(folder / name), weights(whole_folder / name))
    with pytest.raises(ConfigError, match="has finished its 3 epochs: there is nothing to continue"):
        small_run("third", ckpt_path=str(folder / "last.ckpt"))


@contextmanager
def ended_at_write(number):
    """Within it, the process ends when the file of that number is written and has not yet taken its place."""
    move, count = atomic_files._move, 0

    def counted(*arguments):
        nonlocal count
        count += 1
        if count == number:
            power_cut()
        move(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(atomic_files, "_move", counted)
        yield


@pytest.fixture(scope="module")
def short_run(run_in, tmp_path_factory):
    """An undisturbed run of one epoch, whose checkpoint is the best."""
    return run_in(tmp_path_factory.mktemp("short") / "run", trainer={"max_epochs": 1})


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[] if number == 7 else pytest.mark.slow) for number in range(1, 9)]
)
def test_a_run_that_ends_at_any_of_its_writes_continues_to_the_same_files(small_run, short_run, tmp_path, number):
    """Configuration, sizes, data, history, image counts, last and best checkpoint, result; at 7, all was trained."""
    whole, whole_folder = short_run
    with ended_at_write(number), pytest.raises(PowerCutError):
        small_run("cut", trainer={"max_epochs": 1})
    last = tmp_path / "cut" / "last.ckpt"
    there = {"ckpt_path": str(last)} if last.exists() else {}
    assert bool(there) == (number > 6)
    result, folder = small_run("cut", trainer={"max_epochs": 1}, **there)
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    for name in ("last.ckpt", "best.ckpt"):
        assert same(weights(folder / name), weights(whole_folder / name))
    assert (folder / "metrics.csv").read_text() == (whole_folder / "metrics.csv").read_text()
    assert {file.name for file in folder.iterdir()} == {file.name for file in whole_folder.iterdir()}


@pytest.mark.parametrize("best", [True, False])
def test_the_best_checkpoint_is_the_one_that_goes_on_or_the_one_beside_it(tmp_path, best):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir(), here.mkdir()
    (there / "last.ckpt").write_bytes(b"last")
    (there / "best.ckpt").write_bytes(b"older")
    take_over(there / "last.ckpt", here, best)
    assert (here / "last.ckpt").read_bytes() == b"last"
    assert (here / "best.ckpt").read_bytes() == (b"last" if best else b"older")
    take_over(there / "last.ckpt", there, best)
    assert (there / "last.ckpt").read_bytes() == b"last"
    assert (there / "best.ckpt").read_bytes() == (b"last" if best else b"older")


def test_a_terminated_run_saves_and_says_that_it_was_stopped(small_run, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with (
        stopped_at(1, lambda: signal.raise_signal(signal.SIGTERM)),
        pytest.raises(RunInterruptedError, match="stopped after step 1; to continue: ckpt_path="),
    ):
        small_run("stopped")
    assert read_position(tmp_path / "stopped" / "last.ckpt").step == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_dropout_draws_the_same_after_a_resume(small_run, monkeypatch, tmp_path):
    forward = SegmentationModule.forward

    def with_dropout(self, image, features=None):
        return torch.nn.functional.dropout(forward(self, image, features), 0.5, self.training)

    monkeypatch.setattr(SegmentationModule, "forward", with_dropout)
    whole, _ = small_run("whole")
    with (
        stopped_at(6, ctrl_c),
        pytest.raises(RunInterruptedError, match=r"stopped after step 6; to continue: ckpt_path=.*last.ckpt"),
    ):
        small_run("stopped")
    result, _ = small_run("stopped", ckpt_path=str(tmp_path / "stopped" / "last.ckpt"))
    assert result["last"] == whole["last"]


def test_a_run_that_goes_on_in_another_precision_says_both(small_run, tmp_path):
    checkpoint = tmp_path / "stopped" / "last.ckpt"
    with stopped_at(2, ctrl_c), pytest.raises(RunInterruptedError):
        small_run("stopped", trainer={"max_epochs": 1, "precision": "bf16-mixed"})
    assert read_position(checkpoint).precision == "bf16-mixed"
    result, _ = small_run("stopped", ckpt_path=str(checkpoint), trainer={"max_epochs": 1, "precision": "32-true"})
    assert result["precision"] == read_position(checkpoint).precision == "bf16-mixed, then 32-true"


def test_a_run_that_ends_while_it_draws_draws_and_keeps_its_result(small_run):
    _, folder = small_run(trainer={"max_epochs": 1})
    before = (folder / "result.json").read_bytes()
    (folder / "predictions.png").unlink()
    small_run(trainer={"max_epochs": 1}, ckpt_path=str(folder / "last.ckpt"))
    assert (folder / "predictions.png").exists()
    assert (folder / "result.json").read_bytes() == before


def test_a_finished_run_is_not_continued(small_run, whole_run):
    _, folder = whole_run
    with pytest.raises(ValueError, match="has finished its 3 epochs: there is nothing to continue"):
        small_run(ckpt_path=str(folder / "last.ckpt"))


def contents(folder):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir() if file.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        [],  # finished
        ["trainer.max_epochs=9"],
        ["seed=3"],
        ["name=../x"],
        ["trainer.threads=0"],
        ["trainer.devices=2", "data.root=nowhere"],
        ["data.root=nowhere"],
        ["trainer.accelerator=nothing"],
        ["trust=5"],
    ],
)
def test_a_refused_resume_changes_nothing(whole_run, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole_run[1], "run")
    before = contents(tmp_path / "run")
    assert run(["ckpt_path=run/last.ckpt", *words]) == 1
    assert "Error: " in capsys.readouterr().err
    assert {name: found for name, found in contents(tmp_path / "run").items() if name != "lock"} == before


def test_a_resume_refused_by_the_state_itself_changes_nothing(whole_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole_run[1], "run")
    (tmp_path / "run" / "result.json").unlink()
    content = torch.load("run/last.ckpt", weights_only=True)
    content["optimizer_states"][0]["param_groups"] = []
    content["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"] = 1
    content["epoch"] = 1
    torch.save(content, "run/last.ckpt")
    before = contents(tmp_path / "run")
    assert run(["ckpt_path=run/last.ckpt"]) == 1
    assert "its training state does not fit its run" in capsys.readouterr().err
    assert {name: found for name, found in contents(tmp_path / "run").items() if name != "lock"} == before


def test_what_a_resumed_run_may_change(whole_run, tmp_path):
    _, folder = whole_run
    path = folder / "last.ckpt"
    assert read_position(path).step == 12
    config = RunConfig.of(
        resumed_config(path, {"ckpt_path": str(path), "trainer.threads": 2, "data.root": "elsewhere"})
    )
    assert (config.trainer.threads, config.data["root"], config.ckpt_path) == (2, "elsewhere", str(path))
    by_folder = resumed_config(str(folder), {"ckpt_path": str(folder)})  # as every other command takes a run
    assert by_folder["ckpt_path"] == str(path)
    with pytest.raises(DataError, match="has no last.ckpt; it is no run folder, or its run ended before"):
        resumed_config(tmp_path, {})
    with pytest.raises(ConfigError, match=r"path=\[1\] must be text or a path"):
        resumed_config([1], {})
    for said in (None, "bilinear"):  # runs of before say what null means
        resumed_config(path, {"decoder.final": said, "neck.name": said and "auto"})
    with pytest.raises(ValueError, match="decoder.final was .* and is now 'nearest'"):
        resumed_config(path, {"decoder.final": "nearest"})
    with pytest.raises(ValueError, match=r"seed was 0 in the run of .* and is now 1: that would be another run"):
        resumed_config(path, {"seed": 1})
    with pytest.raises(ValueError, match="decoder.upsampler was 'deconv' in the run of .* and is now 'bilinear'"):
        resumed_config(path, {"decoder.upsampler": "bilinear"})
    with pytest.raises(ValueError, match="its schedule 'one_cycle' is laid out over them: it cannot become 9"):
        resumed_config(path, {"trainer.max_epochs": 9})


def test_a_run_that_is_out_of_steps_is_not_continued(small_run):
    _, folder = small_run(trainer={"max_steps": 1})
    before = (folder / "result.json").read_bytes()
    with pytest.raises(ConfigError, match="has finished its 1 steps: there is nothing to continue"):
        small_run(ckpt_path=str(folder / "last.ckpt"), trainer={"max_steps": 1})
    assert (folder / "result.json").read_bytes() == before


@pytest.fixture(scope="module")
def limited_run(run_in, tmp_path_factory):
    """A run that its steps end in the middle of the third epoch."""
    return run_in(tmp_path_factory.mktemp("limited") / "run", trainer={"max_steps": 10}, scheduler=CONSTANT)


@pytest.mark.parametrize("first", [4, 6, pytest.param(8, marks=pytest.mark.slow)])
def test_a_run_that_its_steps_ended_goes_on_with_more(small_run, limited_run, first):
    """At an epoch's end, and within one."""
    whole, whole_folder = limited_run
    _, folder = small_run(trainer={"max_steps": first}, scheduler=CONSTANT)
    (folder / "result.json").unlink()
    result, _ = small_run(trainer={"max_steps": 10}, scheduler=CONSTANT, ckpt_path=str(folder / "last.ckpt"))
    assert result["last"] == whole["last"]
    assert same(weights(folder / "last.ckpt"), weights(whole_folder / "last.ckpt"))


@pytest.mark.parametrize("at", [6, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_with_a_number_of_steps_goes_on_from_its_last_epoch(small_run, limited_run, tmp_path, at):
    whole, whole_folder = limited_run
    with stopped_at(at, power_cut), pytest.raises(PowerCutError):
        small_run("cut", trainer={"max_steps": 10}, scheduler=CONSTANT)
    options = {"trainer": {"max_steps": 10}, "scheduler": CONSTANT}
    result, folder = small_run("cut", **options, ckpt_path=str(tmp_path / "cut" / "last.ckpt"))
    assert (result["last"], result["best"]) == (whole["last"], whole["best"])
    assert same(weights(folder / "last.ckpt"), weights(whole_folder / "last.ckpt"))


def test_a_run_without_a_stored_range_goes_on_by_the_files_types(small_run, tmp_path):
    with stopped_at(6, ctrl_c), pytest.raises(RunInterruptedError):
        small_run("old")
    checkpoint = tmp_path / "old" / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    assert content["segup"].pop("image_range") == [0, 255]
    torch.save(content, checkpoint)
    result, _ = small_run("old", ckpt_path=str(checkpoint))
    assert result["image_range"] == "dtype"


def test_a_training_state_of_another_kind_is_refused(tmp_path):
    content = {"segup": {"format": 1, "model": {}}, "state_dict": {}, "loops": {}, "epoch": 1, "global_step": 1}
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match="last.ckpt: its training state is not one that segup wrote"):
        read_position(tmp_path / "last.ckpt")
