"""Twenty kills at random moments and ten full disks: every time the same command goes on, to the same numbers."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segup.training.resume import read_position

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
    process = begin(place)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return torch.load(place / "run" / "last.ckpt", weights_only=True)["state_dict"]


def position(place):
    last = place / "run" / "last.ckpt"
    return read_position(last).step if last.exists() else 0


def check_same(place, weights):
    if not (place / "run" / "result.json").exists():
        finish(place)
    found = torch.load(place / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert not list((place / "run").glob(".*.part"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("whole"))


def disturbed(tmp_path, weights, times, disturb):
    """Disturb a run so many times; one that comes to its end all the same is compared, and another one begun."""
    place, step = tmp_path / "0", 0
    for count in range(times):
        place.mkdir(exist_ok=True)
        disturb(place)
        assert position(place) >= step
        step = position(place)
        if (place / "run" / "result.json").exists():
            check_same(place, weights)
            place, step = tmp_path / f"{count + 1}", 0
    place.mkdir(exist_ok=True)
    check_same(place, weights)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(tmp_path, weights):
    draw = random.Random(0)

    def kill(place):
        history, began = place / "run" / "metrics.csv", time.time()
        process = begin(place)
        while process.poll() is None and not (history.exists() and history.stat().st_mtime > began):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2))
        process.send_signal(signal.SIGKILL)
        process.communicate()

    disturbed(tmp_path, weights, KILLS, kill)


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again(tmp_path, weights):
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

    disturbed(tmp_path, weights, FULL, fill)
