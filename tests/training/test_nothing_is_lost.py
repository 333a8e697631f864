"""Twenty kills at random moments and ten full disks: every time the same command goes on, to the same numbers."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segup.training.resume import read_position
from segup.training.run_folder import is_complete

ROOT = Path(__file__).resolve().parents[2]
WORDS = (
    "encoder.pretrained=false", "decoder.widths=[4,4,4,4,4]", "data.crop_size=[33,35]", "data.batch_size=2",
    "data.samples_per_epoch=8", "data.num_workers=0", "trainer.max_epochs=12", "trainer.accelerator=cpu",
    "trainer.threads=1",
)  # fmt: skip
LIMITED = (
    "import resource, signal, sys\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))\n"
    "from segup.cli import main\n"
    "main(['train', *sys.argv[2:]])"
)
KILLS, FULL = 20, 10
CHECKPOINT = 36299769
"""Bytes, about."""


def command(place, limit=None):
    """The person's command: the first one until there is a checkpoint, and then the one that goes on from it."""
    last = place / "run" / "last.ckpt"
    words = ["ckpt_path=run/last.ckpt"] if last.exists() else [*WORDS, "run_dir=run"]
    program = ["-m", "segup.cli", "train"] if limit is None else ["-c", LIMITED, str(limit)]
    return [sys.executable, *program, *words]


def begin(place, limit=None):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(place, limit), cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(place):
    """Let the run come to its end, and return what it leaves but for times."""
    folder = place / "run"
    if not is_complete(folder):
        process = begin(place)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
    scores = json.loads((folder / "result.json").read_text())
    return {
        **{name: torch.load(folder / name, weights_only=True)["state_dict"] for name in ("last.ckpt", "best.ckpt")},
        "metrics.csv": (folder / "metrics.csv").read_text(),
        "result.json": [scores[name] for name in ("last", "best", "checkerboard", "macs")],
        "folder": {file.name for file in folder.iterdir()},
    }


def position(place):
    last = place / "run" / "last.ckpt"
    return read_position(last).step if last.exists() else 0


def check_same(place, whole):
    found = finish(place)
    for name in ("last.ckpt", "best.ckpt"):
        torch.testing.assert_close(found.pop(name), whole[name], rtol=0, atol=0)
    assert found == {name: whole[name] for name in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("whole"))


def disturbed(tmp_path, whole, times, disturb):
    """Disturb a run so many times; one that comes to its end all the same is compared, and another one begun."""
    place, step = tmp_path / "0", 0
    for count in range(times):
        place.mkdir(exist_ok=True)
        disturb(place)
        assert position(place) >= step
        step = position(place)
        if is_complete(place / "run"):
            check_same(place, whole)
            place, step = tmp_path / f"{count + 1}", 0
    place.mkdir(exist_ok=True)
    check_same(place, whole)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(tmp_path, whole):
    draw = random.Random(0)

    def kill(place):
        history, began = place / "run" / "metrics.csv", time.time()
        process = begin(place)
        while process.poll() is None and not (history.exists() and history.stat().st_mtime > began):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2))
        process.send_signal(signal.SIGKILL)
        process.communicate()

    disturbed(tmp_path, whole, KILLS, kill)


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again(tmp_path, whole):
    """A file may have so many bytes: from those of a table to those of a checkpoint and more."""
    draw = random.Random(1)

    def fill(place):
        process = begin(
            place, int(2 ** draw.uniform(8, 24) if draw.random() < 0.5 else CHECKPOINT * draw.uniform(0.9, 1.2))
        )
        out, _ = process.communicate(timeout=300)
        assert "Traceback" not in out, out
        assert process.returncode == 0 or "DataError: " in out, out
        assert not list(place.glob("run/.*.part"))

    disturbed(tmp_path, whole, FULL, fill)


@pytest.mark.slow
@pytest.mark.parametrize("row", [2, 6])
def test_a_history_that_cannot_grow_is_named_and_goes_on(tmp_path, whole, row):
    history = tmp_path / "run" / "metrics.csv"
    process = begin(tmp_path)
    while not (history.exists() and history.read_bytes().count(b"\n") > row):
        assert process.poll() is None
        time.sleep(0.001)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (history.stat().st_size + 7, resource.RLIM_INFINITY))
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in out
    assert re.search(r"^DataError: run/(metrics.csv|tensorboard) cannot be written: File too large", out, re.MULTILINE)
    assert history.read_bytes().endswith(b"\n")
    check_same(tmp_path, whole)
