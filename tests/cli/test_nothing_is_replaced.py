"""Every command that writes a file which a person named leaves one that is there as it is, unless told otherwise."""

import importlib
import sys
from pathlib import Path

import pytest

from segup.cli.evaluate import run as evaluate
from segup.cli.explain import run as explain

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--out", "a.svg"], ["a.svg"]),
        (["--out", "a.png"], ["a.png"]),
        (["--out", "a.gif"], ["a.gif"]),
        (["--out", "a.html"], ["a.html"]),
        (["--out", "new.svg", "--out", "sub/a.svg"], ["sub/a.svg"]),
        (["--out", "a.svg", "--view", "all"], ["a-scatter.svg"]),
    ],
)
def test_a_picture_takes_no_other_files_place(capsys, words, names):
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"mine")
    there = sorted(Path().rglob("*"))
    assert explain(["deconv k2 s2", "--input", "2x2", *words]) == 2
    said = capsys.readouterr().err
    assert "exist" in said
    assert "already" in said
    assert "nothing was written.\n  try: another --out, or --overwrite." in said
    assert sorted(Path().rglob("*")) == there
    assert all(Path(name).read_bytes() == b"mine" for name in names)
    assert explain(["deconv k2 s2", "--input", "2x2", *words, "--overwrite"]) == 0
    assert all(Path(name).read_bytes() != b"mine" for name in names)


def test_scores_take_no_other_files_place(capsys):
    Path("scores.json").write_bytes(b"mine")
    assert evaluate(["nowhere", "--out", "scores.json"]) == 1
    assert "scores.json exists already; nothing was written.\n  try: another --out." in capsys.readouterr().err
    assert Path("scores.json").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("draw_decoders", ["nowhere", "--out", "mine.md"]),
        ("gpu_report", ["--device", "cpu", "--to", "mine.md"]),
        ("prepare_cells", ["--out", "mine"]),
    ],
)
def test_scripts_take_no_other_files_place(monkeypatch, capsys, script, words):
    Path("mine.md").write_bytes(b"mine")
    Path("mine").mkdir()
    Path("mine/LICENSE").write_bytes(b"mine")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", [script, *words])
    assert importlib.import_module(script).main() == 1
    said = capsys.readouterr().err
    assert "already" in said
    assert "nothing was written.\n  try: another name, or --overwrite." in said
    assert (Path("mine.md").read_bytes(), Path("mine/LICENSE").read_bytes()) == (b"mine", b"mine")
