"""What a study shows while it runs."""

import io
import json
import os
import time

import pytest
import yaml
from rich.console import Console

from segup.ablation.member import Status, write_status
from segup.ablation.watch import Sight, Watch, best_so_far, seconds_left
from segup.cli.study_view import StudyView, study_table, summary

HEADER = "step,epoch,lr,train/loss,val/miou\n"


def finished(label, seed, miou, seconds=100.0):
    return Sight(label, seed, Status("finished", seconds=seconds, attempt=1), miou=miou)


def running(label, seed, epoch, started, epochs=10):
    return Sight(label, seed, Status("running", started=started, attempt=1), epoch, epochs, 0.5)


def waiting(label, seed):
    return Sight(label, seed, Status())


def text(table, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue()


@pytest.fixture
def study(tmp_path):
    def write(label, seed, status, miou=None, epochs=()):
        folder = tmp_path / label / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": 5}}))
        rows = [
            f"{8 * (n + 1)},{n},0.1,1.0,{score}\n{8 * (n + 1) + 1},{n + 1},0.1,1.0,\n" for n, score in enumerate(epochs)
        ]
        (folder / "metrics.csv").write_text(HEADER + "".join(rows))
        if miou is not None:
            (folder / "result.json").write_text(json.dumps({"last": {"miou": miou}}))
        write_status(folder, status)

    write.path = tmp_path
    return write


def test_a_study_is_seen_from_its_files(study):
    study("deconv", 0, Status("finished", attempt=1, seconds=30), 0.7)
    study("deconv", 1, Status("running", started=time.time(), host="elsewhere", attempt=1), epochs=[0.5, 0.6])
    study("carafe", 0, Status("failed", "DataError: no image", attempt=1))
    watch = Watch(study.path, [("deconv", 0), ("deconv", 1), ("carafe", 0), ("carafe", 1)])
    one, two, three, four = watch.look()
    assert (one.miou, one.status.seconds) == (0.7, 30)
    assert (two.epoch, two.epochs, two.miou, two.done) == (2, 5, 0.6, 0.4)
    assert three.status.cause == "DataError: no image"
    assert four.status.state == "waiting"


def test_the_best_so_far_is_the_best_mean_over_the_seeds_that_all_have():
    sights = [finished("a", 0, 0.9), finished("a", 1, 0.5), finished("b", 0, 0.8), running("c", 0, 5, 0)]
    assert best_so_far(sights) == ("a", 0.9, 1)  # b has no seed 1
    assert best_so_far([*sights, finished("b", 1, 0.7)]) == ("b", 0.75, 2)
    assert best_so_far([finished("a", 0, 0.9), finished("b", 1, 0.8)]) is None
    assert best_so_far([waiting("a", 0)]) is None


def test_the_time_left_goes_by_the_decoders_own_runs():
    slow, fast = finished("slow", 0, 0.5, 200), finished("fast", 0, 0.5, 50)
    assert seconds_left([slow, fast, waiting("slow", 1), waiting("fast", 1)]) == 250
    assert seconds_left([slow, fast, waiting("slow", 1), waiting("fast", 1)], at_once=2) == 200  # the longest
    assert seconds_left([slow, running("slow", 1, 5, started=0)], now=150) == 50
    assert seconds_left([running("a", 0, 2, started=0), waiting("a", 1)], now=20) == 80 + 100
    assert seconds_left([waiting("a", 0)]) is None
    assert seconds_left([slow, Sight("a", 0, Status("failed"))]) == 0


def test_the_table_has_a_row_for_each_decoder_and_a_column_for_each_seed():
    now = time.time()
    sights = [finished("deconv", 0, 0.7634), running("deconv", 1, 3, now), waiting("carafe[x]", 0)]
    sights += [Sight("carafe[x]", 1, Status("failed", "why", attempt=1)), Sight("b", 1, Status("interrupted"), 2, 10)]
    shown = text(study_table(sights))
    for part in ("seed 0", "seed 1", "0.763", "3/10 · 0.500", "waiting", "failed", "carafe[x]", "stopped at 2/10", "–"):
        assert part in shown
    assert "1 of 5 finished, 1 running, 1 failed, 1 interrupted, about " in shown
    assert "best so far: deconv 0.763 (1 seed)" in " ".join(shown.split())
    for meaning in ("validation mIoU of a finished run", "epochs done/asked for · mIoU so far", "to be taken up again"):
        assert meaning in " ".join(shown.split())


def test_a_table_taller_than_the_terminal_keeps_what_is_going_on():
    sights = [waiting(f"decoder{n}", 0) for n in range(50)]
    sights[45] = running("decoder45", 0, 1, 0)
    shown = text(study_table(sights, height=20))
    assert "decoder45" in shown
    assert "38 more decoders are not shown" in shown
    assert len(shown.splitlines()) <= 20


def test_elsewhere_than_on_a_terminal_each_change_is_a_line_and_a_failure_an_error(study):
    out, err = (Console(file=io.StringIO(), width=60) for _ in range(2))
    study("deconv", 0, Status("failed", "DataError: old", attempt=1))
    study("carafe", 0, Status("finished", attempt=1, seconds=30), 0.7)
    with StudyView(study.path, [("deconv", 0), ("carafe", 0), ("nearest", 0)], console=out, errors=err):
        study("deconv", 0, Status("failed", "DataError: no image in [a]", attempt=2))
        study("nearest", 0, Status("finished", attempt=1, seconds=40), 0.65)
    lines = out.file.getvalue().splitlines()
    assert lines[0] == f"study {study.path}: 3 runs, 1 finished before, 1 to be taken up again"
    assert lines[-1].startswith("nearest seed 0 finished, mIoU 0.6500, 40 s  [2 of 3 finished, 1 failed, ")
    assert err.file.getvalue() == "deconv seed 0 failed: DataError: no image in [a]\n"


def test_on_a_terminal_the_table_is_shown(study):
    study("deconv", 0, Status("finished", attempt=1, seconds=30), 0.7)
    console = Console(file=io.StringIO(), width=90, force_terminal=True, color_system=None)
    with StudyView(study.path, [("deconv", 0), ("deconv", 1)], console=console):
        pass
    assert "1 of 2 finished" in console.file.getvalue()
    assert summary([waiting("a", 0)]) == "0 of 1 finished"


@pytest.mark.parametrize("name", ["metrics.csv", "config.yaml", "status.json", "result.json"])
@pytest.mark.parametrize("state", ["running", "finished"])
def test_a_file_that_goes_while_it_is_looked_at_is_not_there_yet(study, monkeypatch, name, state):
    """A run that is tried again empties its folder first."""
    study("deconv", 0, Status(state, started=time.time(), host="elsewhere", attempt=1, seconds=30), 0.7, epochs=[0.5])
    file = study.path / "deconv/0" / name
    whole = file.read_bytes()
    opened = os.open

    def gone(path, *args, **kwargs):
        if path == file:
            path.unlink(missing_ok=True)
        return opened(path, *args, **kwargs)

    watch = Watch(study.path, [("deconv", 0)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", gone)
        (sight,) = watch.look()
        text(study_table([sight]))
    read = {"running": ["metrics.csv", "config.yaml", "status.json"], "finished": ["status.json", "result.json"]}
    if name in read[state]:
        assert (sight.epoch, sight.miou) == (None, None)
        assert not file.exists()
    file.write_bytes(whole)
    (sight,) = watch.look()
    assert sight.miou == (0.5 if state == "running" else 0.7)


def test_the_view_lives_on_while_folders_are_emptied_under_it(study, monkeypatch):
    """As in a sweep whose runs fail at once and are tried again."""
    monkeypatch.setattr("segup.cli.study_view._EVERY", 0.0)
    shown = Console(file=io.StringIO(), width=100, color_system=None)
    study("deconv", 0, Status("running", started=time.time(), host="elsewhere", attempt=1), epochs=[0.5])
    files = [study.path / "deconv/0" / name for name in ("metrics.csv", "config.yaml")]
    contents = [file.read_bytes() for file in files]
    view = StudyView(study.path, [("deconv", 0)], console=shown)
    with view:
        until, times = time.monotonic() + 1.5, 0
        while time.monotonic() < until and view._thread.is_alive():
            for file, content in zip(files, contents, strict=True):
                file.unlink()
                file.write_bytes(content)
            times += 1
        assert view._thread.is_alive()
    assert times > 10


def test_a_row_that_is_still_being_written_does_not_count(study):
    study("deconv", 0, Status("running", started=time.time(), host="elsewhere", attempt=1), epochs=[0.5])
    file = study.path / "deconv/0/metrics.csv"
    whole = file.read_bytes()
    row = b"16,1,0.1,1.0,0.625\r\n"
    watch = Watch(study.path, [("deconv", 0)])
    for written in range(len(row)):
        file.write_bytes(whole + row[:written])
        (sight,) = watch.look()
        assert (sight.epoch, sight.miou) == (1, 0.5), row[:written]
    file.write_bytes(whole + row)
    (sight,) = watch.look()
    assert (sight.epoch, sight.miou) == (2, 0.625)
    for written in range(len(HEADER)):
        file.write_text(HEADER[:written])
        (sight,) = watch.look()
        assert (sight.epoch, sight.miou) == (0, None)
