"""Damaged or hostile studies are read or refused in a line, whatever stands at whichever place."""

import copy
import json
import os
import shutil

import pytest
import yaml

from segup.ablation.member import State
from segup.ablation.report.content import read_report
from segup.ablation.report.gallery import draw, pictures
from segup.ablation.report.page import as_html
from segup.ablation.report.texts import as_csv, as_latex, as_markdown
from segup.ablation.watch import Watch
from segup.cli import compare as compare_command
from segup.errors import SegupError

MEMBERS = {("deconv", 0): 0.75, ("deconv", 1): 0.76, ("bilinear", 0): 0.74, ("bilinear", 1): ("failed", "a cause")}
VALUES = [
    None, True, 0, -1, 1.5, 10**30, 10**5000, float("nan"), float("inf"), 1e300, "", "text", "\x1b[31m\n", "a" * 10**6,
    [], [[]], [None], ["x"] * 3, {}, {"a": 1}, {1: 2}, [[1, 2], [3]],
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(make_study, tmp_path_factory):
    decoders = {"deconv": {"widths": [8, 4], "budget": 100, "difference": 0.01, "start": "interpolate"}}
    return make_study(tmp_path_factory.mktemp("sound"), MEMBERS, match="params", decoders=decoders)


@pytest.fixture
def study(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "mine")


def places(value, path=()):
    """Return every place in nested values."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, part in inner for place in places(part, (*path, key))]


def changed(value, path, new):
    """Return a copy with another value at a place, or without it."""
    twin = copy.deepcopy(value)
    inner = twin
    for key in path[:-1]:
        inner = inner[key]
    if new is places:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return twin


@pytest.fixture
def curves_alone(monkeypatch):
    """Of the figures, those that are drawn from a history."""
    for name in (
        "forest",
        "path_figure",
        "accuracy_against_cost",
        "band_iou",
        "class_bars",
        "checkerboard_spectrum_figure",
    ):
        monkeypatch.setattr(f"segup.ablation.report.gallery.{name}", lambda *_: None)


def told(study, drawn=False):
    """Do all that is done with a study's files; return what is said where it is refused."""
    said = ""
    try:
        report = read_report(study)
        figures = draw(report) if drawn else []
        for write in (as_markdown, as_html):
            write(report, figures, ()).encode()
        as_csv(report).encode(), as_latex(report).encode()
    except SegupError as error:
        said = str(error)
    Watch(study, [("deconv", 0), ("bilinear", 1)]).look()  # in a thread of its own, where nobody would see an error
    lines = said.splitlines()
    assert len(lines) <= 2, said
    assert all(len(line) < 600 and line.isprintable() for line in lines), said
    return said


@pytest.mark.parametrize("name", ["study.yaml", "deconv/0/result.json", "deconv/0/status.json"])
def test_any_value_at_any_place_is_read_or_refused_in_a_line(study, name):
    file = study / name
    read, write = (yaml.safe_load, yaml.safe_dump) if name.endswith(".yaml") else (json.loads, json.dumps)
    whole = read(file.read_text())
    refused = 0
    for start, place in enumerate(places(whole)):
        for new in [*VALUES[start % 5 :: 5], places]:
            try:
                file.write_text(write(changed(whole, place, new)))
            except (TypeError, ValueError):  # no JSON: an int of 5000 digits
                continue
            refused += bool(told(study))
    assert refused > 15
    file.write_text(write(whole))
    assert not told(study)


DEEP = "[" * 100_000
TEXTS = {
    "empty": b"", "null": b"null", "a list": b"[]", "a word": b"word", "binary": bytes(range(256)),
    "zeros": bytes(10**5),
    "not closed": b"{", "deep": DEEP.encode(), "deep and closed": (DEEP + "]" * 100_000).encode(),
    "deep groups": b'{"a":' * 100_000, "a huge number": b"1" * 10**6, "NaN": b"NaN", "half a letter": b'"\xc3',
    "half a pair": b'{"state": "\\ud800"}', "too large": b" " * (2**23 + 1),
    "billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 112))
    + b"members: *o\n",
    "merged laughs": b"a: &a {x: 1}\n"
    + b"".join(b"%c: &%c {<<: [%s]}\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 112)),
    "self-including": b"members: &m [*m]\n", "self-included group": b"&m {members: [], config: *m}\n",
    "tagged": b"members: !!python/object/apply:os.system ['touch ran']\n", "no date": b"members: 2001-99-99\n",
    "an empty int": b"members: !!int ''\n", "no bool": b"members: !!bool x\n", "an undated": b"a: !!timestamp x\n",
    "a list as key": b"? [1]\n: 2\n", "a date as key": b"? 2001-01-01\n: 2\n", "two documents": b"a: 1\n---\nb: 2\n",
    "escapes": b"\x1b[31m: \x1b]0;title\x07\n", "a tab": b"\tmembers: 1\n",
    "binary tag": b"members: !!binary aGVsbG8=\n",
    "CRLF and BOM": b"\xef\xbb\xbfmembers: []\r\n", "UTF-16": "members: []".encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["study.yaml", "deconv/0/result.json", "deconv/0/status.json"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_file_of_any_content_is_refused_in_a_line(study, name, text):
    (study / name).write_bytes(TEXTS[text])
    said = told(study)
    empty_study = name == "study.yaml" and text == "CRLF and BOM"
    assert said
    assert name.rpartition("/")[2] in said or empty_study
    assert not (study / "ran").exists()


@pytest.mark.parametrize("name", ["study.yaml", "deconv/0/result.json", "deconv/0/status.json", "deconv/0/metrics.csv"])
@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.mkdir(),
        os.mkfifo,
        lambda file: file.symlink_to(file),
        lambda file: file.symlink_to("/dev/zero"),
        lambda file: file.symlink_to("/nowhere"),
    ],
    ids=["folder", "pipe", "link to itself", "endless", "link to nothing"],
)
def test_what_is_no_file_neither_hangs_nor_raises(study, name, make, curves_alone):
    (study / name).unlink()
    make(study / name)
    told(study, drawn=name.endswith(".csv"))


@pytest.mark.parametrize("label", ["..", "../..", "/etc", "a/b", ".", "", "a\0b", "a" * 300, 7.5, None])
def test_a_member_lies_in_the_study(study, label):
    settings = yaml.safe_load((study / "study.yaml").read_text())
    (study / "study.yaml").write_text(yaml.safe_dump({**settings, "members": [[label, 0]]}))
    assert "study.yaml" in told(study) or label == 7.5


@pytest.mark.parametrize("text", [b"\x00", b"step,train/loss\nx,y\n", b"step\n" + b"1," * 10**5 + b"\n", b'"' * 10**6])
def test_a_damaged_history_has_no_curve(study, text, curves_alone):
    (study / "deconv/0/metrics.csv").write_bytes(text)
    assert not told(study, drawn=True)


def test_a_data_set_from_outside_is_not_imported_for_the_pictures(study, monkeypatch, tmp_path):
    """A result names its data, and a name of the form module:attribute would run that module."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.py").write_text("open('ran', 'w')\n")
    for file in study.glob("*/*/result.json"):
        result = json.loads(file.read_text())
        result["config"]["data"] = {"name": "trap:Set", "classes": ["a", "b"]}
        file.write_text(json.dumps(result))
        (file.parent / "last.ckpt").touch()
    missing = pictures(read_report(study))[1]
    assert not (tmp_path / "ran").exists()
    assert any("--trust trap" in line for line in missing)


@pytest.mark.parametrize(
    "data", [None, {}, {"name": 5}, {"name": "cells", "classes": 5}, {"name": "cells", "classes": ["a"], "augment": 3}]
)
def test_data_that_cannot_be_made_leave_the_pictures_out(study, data):
    for file in study.glob("*/*/result.json"):
        result = json.loads(file.read_text())
        result["config"]["data"] = data
        file.write_text(json.dumps(result))
        (file.parent / "last.ckpt").touch()
    if not told(study):
        assert any("no crops are shown" in line for line in pictures(read_report(study))[1])


@pytest.mark.parametrize("name", ["study.yaml", "deconv/0/result.json"])
def test_the_commands_say_it_in_a_line(study, name, capsys):
    (study / name).write_text("[1, 2")
    assert compare_command.run([str(study)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("DataError: ")
    assert len(said.splitlines()) == 1


def test_every_state_that_is_written_is_one_that_is_read():
    from typing import get_args

    from segup.ablation.report.content import STATES

    assert sorted(get_args(State)) == sorted(STATES)
