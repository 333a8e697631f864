"""Runs whose process, terminal or person ends them: nobody trains on, nothing is lost, and the exit code says so."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segup.training.resume import read_position

ROOT = Path(__file__).resolve().parents[2]
WORDS = (
    "encoder.pretrained=false",
    "decoder.widths=[4,4,4,4,4]",
    "data.crop_size=[33,35]",
    "data.batch_size=2",
    "data.samples_per_epoch=40",
    "data.num_workers=0",
    "trainer.max_epochs=50",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "run_dir=run",
)


def begin(place, *words, **options):
    command = [sys.executable, "-m", "segup.cli", "train", *WORDS, *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=place, env=env, **{**streams, **options})


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    assert condition()


def rows(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_the_processes_of_a_run_end_when_their_parent_is_killed_and_when_they_are_interrupted(tmp_path):
    process = begin(tmp_path, "trainer=ddp", "trainer.devices=2", start_new_session=True)
    try:
        wait_for(lambda: rows(tmp_path / "run" / "metrics.csv") > 2)
        ranks = children(process.pid)
        assert len(ranks) == 2
        process.kill()
        wait_for(lambda: not any(alive(rank) for rank in ranks), 10)
    finally:
        process.kill()
        process.communicate()
    # the same command again: no checkpoint was there, so it begins anew
    history, began = tmp_path / "run" / "metrics.csv", time.time()
    process = begin(tmp_path, "trainer=ddp", "trainer.devices=2", start_new_session=True)
    wait_for(lambda: rows(history) > 3 and history.stat().st_mtime > began)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert read_position(tmp_path / "run" / "last.ckpt").step > 0


@pytest.mark.slow
@pytest.mark.parametrize("again", [0.0, 0.3])
def test_a_second_ctrl_c_ends_at_once_with_130(tmp_path, again):
    process = begin(tmp_path, "data.batch_size=8", "data.crop_size=[161,193]")
    wait_for(lambda: rows(tmp_path / "run" / "metrics.csv") > 2)
    process.send_signal(signal.SIGINT)
    time.sleep(again)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out


@pytest.mark.slow
def test_ctrl_c_before_training_begins_is_130_too(tmp_path):
    process = begin(tmp_path)
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [False, True])
def test_a_terminal_that_closes_loses_no_step(tmp_path, sweep):
    """The terminal is real: its other end is closed while the command draws into it."""
    words = [word for word in WORDS if not (sweep and word.startswith("run_dir"))]
    more = ["-m", "decoder=deconv,bilinear"] if sweep else []
    folders = [tmp_path / "ablations" / "train" / "deconv" / "0"] if sweep else [tmp_path / "run"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", TERM="xterm")
        os.execv(sys.executable, [sys.executable, "-m", "segup.cli", "train", *more, *words])
    os.set_blocking(terminal, False)

    def drawn(folder):
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 2**20)
        return rows(folder / "metrics.csv") > 3

    wait_for(lambda: all(drawn(folder) for folder in folders))
    os.close(terminal)
    before = time.monotonic()
    _, status = os.waitpid(pid, 0)
    assert time.monotonic() - before < 60
    assert os.waitstatus_to_exitcode(status) == 130
    for folder in folders:
        logged = folder / "metrics.csv"
        assert read_position(folder / "last.ckpt").step == int(logged.read_text().splitlines()[-1].split(",")[0])
    if sweep:
        assert json.loads((folders[0] / "status.json").read_text())["state"] == "interrupted"


@pytest.mark.slow
def test_of_two_resumes_of_one_run_one_is_refused_and_changes_nothing(tmp_path):
    process = begin(tmp_path)
    wait_for(lambda: (tmp_path / "run" / "last.ckpt").exists())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    words = ["run_dir=null", "ckpt_path=run/last.ckpt"]
    both = [begin(tmp_path, *words) for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in both))
    refused, other = sorted(both, key=lambda process: process.poll() is None)
    out, _ = refused.communicate()
    assert refused.returncode == 1, out
    assert "another process works in run and holds run/lock; nothing was changed" in out
    other.send_signal(signal.SIGINT)
    out, _ = other.communicate(timeout=60)
    assert other.returncode == 130, out
    steps = [int(line.split(",")[0]) for line in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1:]]
    assert sorted(set(steps)) == list(range(1, steps[-1] + 1))
    assert steps == sorted(steps)
    assert read_position(tmp_path / "run" / "last.ckpt").step == steps[-1]
