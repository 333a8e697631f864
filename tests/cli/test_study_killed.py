"""A sweep that is killed anywhere and begun again ends where an undisturbed one does."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segup.ablation.member import stored_status
from segup.ablation.study import read_study

ROOT = Path(__file__).resolve().parents[2]
SWEEP = [
    "-m",
    "decoder=deconv,carafe",
    "encoder.pretrained=false",
    "decoder.widths=[4,4,4,4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=8",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
]
MEASURED = {
    "step_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "wall_seconds",
    "inference_seconds",
    "environment",
}


def begin(place, *more, **options):
    place.mkdir(exist_ok=True)
    command = [sys.executable, str(ROOT / "train.py"), *SWEEP, *more]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=place, env=env, **streams, **options)


def results(place):
    found = {}
    for member in read_study(place / "ablations" / "train").members:
        result = json.loads((member.path / "result.json").read_text())
        result["config"]["ckpt_path"] = None  # says only whether it was taken up again
        found[member.label, member.seed] = {key: value for key, value in result.items() if key not in MEASURED}
        found[member.label, "history"] = (member.path / "metrics.csv").read_text()
    return found


def begun_runs(place):
    """The processes that train, by what they wrote down."""
    statuses = [stored_status(file.parent) for file in place.glob("ablations/*/*/*/status.json")]
    return [status.pid for status in statuses if status.state == "running"]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_sweep_killed_at_random_ends_as_an_undisturbed_one(tmp_path, at_once):
    whole = begin(tmp_path / "whole", f"ablation.at_once={at_once}")
    out, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, out
    lasted = sum(
        status.seconds
        for status in (stored_status(file.parent) for file in (tmp_path / "whole").glob("ablations/*/*/*/status.json"))
    )
    rng = random.Random(at_once)
    for _ in range(3):
        process = begin(tmp_path / "killed", f"ablation.at_once={at_once}")
        until = time.monotonic() + 120
        while not begun_runs(tmp_path / "killed") and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.1, 0.9) * lasted / 2 / at_once)
        running = begun_runs(tmp_path / "killed")
        process.kill()
        process.communicate()
        until = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in running) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in running)  # nobody goes on for a sweep that is gone
    last = begin(tmp_path / "killed", f"ablation.at_once={at_once}")
    out, _ = last.communicate(timeout=600)
    assert last.returncode == 0, out
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_saves_its_runs_and_says_so(tmp_path, how):
    process = begin(tmp_path / "stopped", "trainer.max_epochs=200", "ablation.at_once=2")
    history = tmp_path / "stopped" / "ablations" / "train" / "carafe" / "0" / "metrics.csv"
    until = time.monotonic() + 240
    while not (history.exists() and len(history.read_text().splitlines()) > 3) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(how)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert "interrupted: the same command continues the study" in out
    members = read_study(tmp_path / "stopped" / "ablations" / "train").members
    assert [member.state for member in members] == ["interrupted", "interrupted"]
    assert all((member.path / "last.ckpt").exists() for member in members)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.5, 4])
def test_ctrl_c_while_training_is_being_imported_ends_without_a_traceback(tmp_path, after):
    process = begin(tmp_path / "early", start_new_session=True)
    until = time.monotonic() + 60
    while not (tmp_path / "early" / "ablations" / "train" / "study.yaml").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)  # the terminal's Ctrl-C is for all its processes
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert "interrupted: the same command continues the study" in out
    assert "Traceback" not in out


@pytest.mark.slow
def test_two_sweeps_of_one_study_train_each_run_once(tmp_path):
    one, other = (begin(tmp_path / "both", "seed=0,1") for _ in range(2))
    outs = [process.communicate(timeout=600)[0] for process in (one, other)]
    assert one.returncode == other.returncode == 0, outs
    members = read_study(tmp_path / "both" / "ablations" / "train").members
    assert [(member.state, member.status.attempt) for member in members] == [("finished", 1)] * 4


@pytest.mark.slow
def test_a_run_whose_process_is_killed_fails_and_the_others_go_on(tmp_path):
    process = begin(tmp_path / "one", "trainer.max_epochs=30")
    first = tmp_path / "one" / "ablations" / "train" / "deconv" / "0"
    until = time.monotonic() + 240
    while not (first / "metrics.csv").exists() and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(stored_status(first).pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 1, out
    assert "deconv seed 0 failed: its process was ended by SIGKILL: out of memory, or by hand" in out
    members = read_study(tmp_path / "one" / "ablations" / "train").members
    assert [member.state for member in members] == ["failed", "finished"]
