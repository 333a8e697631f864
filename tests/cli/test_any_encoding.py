"""Every command can be read where the output knows no more than ASCII or Latin-1."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segup.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENCODINGS = ("ascii", "latin-1", "cp1252")
TINY = (
    "encoder=segnet", "encoder.options.widths=[2,3,4]", "encoder.options.convs=1", "decoder.widths=[4,4]",
    "data.crop_size=[33,35]", "data.batch_size=2",
    "data.samples_per_epoch=2", "data.num_workers=0", "trainer.max_epochs=1", "trainer.accelerator=cpu",
)  # fmt: skip


def written(encoding, *words):
    """The exit code, and what the command wrote, as bytes, to output and error that know ``encoding`` alone."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
    return ended.value.code, b"".join(stream.buffer.getvalue() for stream in streams).decode(encoding)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained into such an output."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)
        code, text = written("ascii", "train", *TINY, "run_dir=run")
    assert code == 0, text
    assert "Sizes of a training crop, 33x35, in segnet" in text
    return place / "run"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--help"], 0, "usage: segup COMMAND ..."),
        (["shapes", "conv k3 s2 p1, deconv k4 s2 p1", "417"], 0, "417"),
        (["shapes", "conv k3 s2", "größe"], 2, "ShapeError: "),
        (["explain", "deconv k4 s2 p1", "--at", "0,1", "--unread", "--no-picture"], 0, "y[0,1] = x[0,0]*w[1,2]"),
        (["explain", "conv k5", "--input", "3x4", "--no-picture"], 2, "rule: "),
        (["check", "efficientnet_lite0", "--no-pretrained"], 2, "usage: "),
        (["check", "timm/résnet"], 2, "ConfigError: "),
        (["train", "decoder=übermodell"], 1, "ConfigError: "),
        (["train", "--cfg", "job"], 0, "trainer:"),
        (["evaluate", "nirgendwo…"], 1, "DataError: "),
        (["predict", "nirgendwo", "größe.png", "--out", "x"], 1, "DataError: "),
        (["compare", "…"], 1, "DataError: "),
        (["report", "×"], 1, "DataError: no study folder at x"),
    ],
)
def test_what_needs_no_run(tmp_path, monkeypatch, encoding, words, code, part):
    monkeypatch.chdir(tmp_path)
    if words[0] == "check" and "--no-pretrained" not in words and encoding != "ascii":
        return
    ended, text = written(encoding, *words)
    assert ended == code, text
    readable = text.replace("×", "x").replace("·", "*")  # which Latin-1 has
    assert part in readable
    assert "UnicodeEncodeError" not in text


@pytest.mark.parametrize("encoding", ENCODINGS[:2])
def test_what_needs_a_run(run, tmp_path, encoding):
    image = next((ROOT / "data" / "cells").rglob("*.png"))
    for words in (
        ["evaluate", run, "--out", tmp_path / "scores.json"],
        ["predict", run, image, "--out", tmp_path / "größe"],
        ["compare", run],
        ["compare", run, "--format", "markdown"],
    ):
        code, text = written(encoding, *words)
        assert code == 0, text
    assert (tmp_path / "größe").is_dir()  # what is written out alone is spelled otherwise


def test_a_study_and_its_report(tmp_path):
    (tmp_path / "study.yaml").write_text("members: [[größe, 0]]", "utf-8")
    code, text = written("ascii", "report", tmp_path)
    assert code == 0, text
    assert "größe" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii:strict"},
     {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
)  # fmt: skip
def test_a_process_of_its_own(environment):
    command = [sys.executable, "-m", "segup.cli", "shapes", "conv k3 s2 p1, deconv k4 s2 p1", "360x480"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"360" in done.stdout
