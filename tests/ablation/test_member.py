import time

import pytest
import yaml

from segup import atomic
from segup.ablation import member
from segup.ablation.member import Status, read_status, stored_status, train_member, write_status
from segup.errors import DataError, RunInterruptedError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"encoder": {"name": "resnet18"}, "seed": 4}))
    write_status(tmp_path, Status())
    return tmp_path


@pytest.fixture
def begun(monkeypatch):
    """What training was begun with; a function set as ``begun.does`` stands for it."""

    class Begun(list):
        def does(self, config, folder):
            (folder / "result.json").write_text("{}")

    calls = Begun()

    def start(config, folder):
        calls.append((config, read_status(folder)))
        calls.does(config, folder)

    monkeypatch.setattr(member, "start", start)
    return calls


def test_a_run_is_running_and_then_finished_and_not_begun_again(folder, begun):
    train_member(folder)
    ((config, during),) = begun
    assert (config.seed, config.ckpt_path, during.state, during.attempt) == (4, None, "running", 1)
    after = read_status(folder)
    assert (after.state, after.cause, after.attempt) == ("finished", None, 1)
    assert 0 <= after.seconds == pytest.approx(after.ended - after.started, abs=0.01)
    train_member(folder)
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("error", "state", "cause"),
    [
        (DataError("no image in x"), "failed", "DataError: no image in x"),
        (ZeroDivisionError("division"), "failed", "ZeroDivisionError: division"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (RunInterruptedError("stopped after step 3"), "interrupted", None),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_however_a_run_ends_it_is_written_down_and_the_next_attempt_clears_it(folder, begun, error, state, cause):
    def fail(config, folder):
        raise error

    begun.does = fail
    train_member(folder)
    assert (read_status(folder).state, read_status(folder).cause) == (state, cause)
    begun.does = lambda config, folder: (folder / "result.json").write_text("{}")
    train_member(folder)
    assert (read_status(folder).state, read_status(folder).cause, read_status(folder).attempt) == ("finished", None, 2)


def test_a_run_goes_on_from_its_checkpoint_and_one_without_begins_anew(folder, begun):
    (folder / "metrics.csv").write_text("left")
    (folder / ".last.ckpt.77.part").write_text("half")
    atomic._clear.cache_clear()  # as in the process of this attempt's own
    (folder / "tensorboard").mkdir()
    begun.does = lambda config, folder: (
        (folder / "last.ckpt").write_text("state") and (_ for _ in ()).throw(OSError(5, "x"))
    )
    train_member(folder)
    assert begun[0][0].ckpt_path is None
    assert {file.name for file in folder.iterdir()} == {"config.yaml", "status.json", "lock", "last.ckpt"}
    (folder / "metrics.csv").write_text("kept")
    train_member(folder)
    assert begun[1][0].ckpt_path == str(folder / "last.ckpt")
    assert (folder / "metrics.csv").read_text() == "kept"


def test_a_run_that_was_killed_after_its_result_has_finished(folder, begun):
    write_status(folder, Status("running", started=time.time() - 60, pid=2**22 + 1, host="vm", attempt=1))
    for name in ("result.json", "curves.png", "predictions.png"):
        (folder / name).write_text("{}")
    train_member(folder)
    assert begun == []
    assert stored_status(folder).state == "finished"


def test_a_finished_run_whose_result_was_removed_goes_on_from_its_checkpoint(folder, begun):
    train_member(folder)
    (folder / "last.ckpt").touch()
    (folder / "result.json").unlink()
    train_member(folder)
    assert begun[1][0].ckpt_path == str(folder / "last.ckpt")
    assert (read_status(folder).state, read_status(folder).attempt) == ("finished", 2)


def test_the_time_of_an_attempt_that_was_killed_is_counted_until_it_last_wrote(folder, begun):
    write_status(folder, Status("running", started=time.time() - 60, pid=2**22 + 1, attempt=1, seconds=100))
    (folder / "last.ckpt").write_text("state")
    train_member(folder)
    assert stored_status(folder).seconds == pytest.approx(160, abs=2)


def test_a_run_that_another_process_trains_is_left_to_it(folder, begun, monkeypatch):
    def held(*args, **options):
        raise member.HeldError("another process")

    monkeypatch.setattr(member, "lock", held)
    train_member(folder)
    assert begun == []
    assert stored_status(folder).state == "waiting"
