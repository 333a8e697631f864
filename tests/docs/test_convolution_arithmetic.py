"""The guide's commands run, its numbers come out of them, and its pictures hold what its commands draw."""

import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import segup.cli

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "convolution-arithmetic.md").read_text(encoding="utf-8")
PICTURES = DOCS / "convolution-arithmetic"
SECTIONS = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
TITLES = [section.partition("\n")[0] for section in SECTIONS]
COMMANDS = [
    (command, [line for line in said.splitlines() if line.strip()])
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL)
    for command, said in re.findall(r"^\$ segup (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


def spaced(text):
    return " ".join(text.split())


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "said"), COMMANDS, ids=[command[:40] for command, _ in COMMANDS])
def test_a_command_prints_what_the_guide_says_and_draws_its_picture(command, said, capsys, tmp_path):
    refused = said[0].startswith("ShapeError")
    assert segup.cli._run(shlex.split(command)) == (2 if refused else 0)
    captured = capsys.readouterr()
    lines = iter(spaced(line) for line in (captured.err if refused else captured.out).splitlines())
    for line in said:  # in this order, others in between
        assert spaced(line) in lines, line
    for picture in tmp_path.glob("*.svg"):
        assert texts(picture) == texts(PICTURES / picture.name), "python scripts/draw_arithmetic.py"


def texts(picture):
    return sorted(element.text or "" for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("section", SECTIONS, ids=TITLES)
def test_every_number_in_the_prose_stands_in_a_block_beside_it(section):
    blocks = " ".join(re.findall(r"```.*?```", section, re.DOTALL))
    prose = re.sub(r"```.*?```|!\[.*?\]\(.*?\)", "", section, flags=re.DOTALL)
    known = set(re.findall(r"\d+", blocks))
    assert set(re.findall(r"\d+", prose)) - known == set()


def test_every_picture_is_shown_and_none_is_missing():
    shown = set(re.findall(r"\(convolution-arithmetic/(.*?)\)", GUIDE))
    drawn = {path.name for path in PICTURES.iterdir()}
    assert shown <= drawn
    assert drawn - shown == {"deconv-overlap.svg"}  # of all views of that layer, the one shown for another
