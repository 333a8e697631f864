"""The README is short, leads on to what is there, and holds the two commands that the gate reads out of it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def test_the_readme_is_at_most_two_hundred_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_what_is_there(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        file, _, heading = target.partition("#")
        if not file.startswith("http"):
            linked = page.parent / file if file else page
            assert linked.exists(), target
            assert not heading or heading in headings(linked), target


def headings(page):
    """The anchors of a page's headings."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_the_two_commands_stand_alone_on_their_lines():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert "pip install -e . && python train.py decoder=deconv" in lines
    assert 'pip install -e ".[dev]" && pytest' in lines
