"""Where standard output cannot be written, the work is done and kept, and one line and the exit code say so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL = "DataError: standard output cannot be written: No space left on device; everything else is done\n"
TINY = (
    "encoder.pretrained=false", "decoder.widths=[4,4,4,4,4]", "data.crop_size=[33,35]", "data.batch_size=2",
    "data.samples_per_epoch=2", "data.num_workers=0", "trainer.max_epochs=1", "trainer.accelerator=cpu",
)  # fmt: skip


def full(place, *words, flags=(), **streams):
    command = [sys.executable, *flags, "-m", "segup.cli", *words]
    with open("/dev/full", "w") as nowhere:
        streams = {"stdout": nowhere, "stderr": subprocess.PIPE, **streams}
        return subprocess.run(
            command, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, check=False, **streams
        )


@pytest.mark.parametrize("flags", [(), ("-u",)])
@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["shapes", "--help"], ["shapes", "conv k3 s2 p1", "417"], ["train", "--help"]]
)
def test_a_full_disk_is_said_in_one_line(tmp_path, words, flags):
    done = full(tmp_path, *words, flags=flags)
    assert (done.returncode, done.stderr) == (1, FULL)


def test_another_fault_keeps_its_own_exit_code(tmp_path):
    done = full(tmp_path, "shapes", "conv k0", "417")
    assert done.returncode == 2
    assert done.stderr.startswith("ShapeError: ")


def test_a_picture_is_drawn_all_the_same(tmp_path):
    done = full(tmp_path, "explain", "conv k3", "--input", "4x4", "--out", "conv.svg")
    assert (done.returncode, done.stderr) == (1, FULL)
    assert (tmp_path / "conv.svg").read_text().rstrip().endswith("</svg>")


def test_without_anywhere_to_write_to_the_exit_code_says_it(tmp_path):
    assert full(tmp_path, "shapes", "conv k3 s2 p1", "417", stderr=subprocess.STDOUT).returncode == 1


def test_an_output_that_was_closed_before_is_nobodys_fault(tmp_path):
    command = f"{sys.executable} -m segup.cli shapes 'conv k3 s2 p1' 417 >&-"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_runs_are_trained_all_the_same(tmp_path):
    done = full(tmp_path, "train", *TINY, "run_dir=run")
    assert done.returncode == 1
    assert done.stderr.endswith(FULL)
    assert (tmp_path / "run" / "predictions.png").exists()
    done = full(tmp_path, "train", "-m", "seed=0,1", *TINY)
    assert done.returncode == 1
    assert done.stderr.endswith(FULL)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "ablations" / "train" / "report.html").exists()
