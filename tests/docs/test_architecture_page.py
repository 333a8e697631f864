"""docs/architecture.md names the floors of the import contracts, and files and names that exist."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FLOORS = re.findall(r"^\| ((?:`segup\.\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
WHERE = re.findall(r"^\| (Wh.*?\?) \| `(.*?)` \| `(.*?)` \|$", PAGE, re.MULTILINE)


def test_the_floors_are_those_of_the_contract_from_the_top():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert [re.findall(r"`(.*?)`", floor) for floor in FLOORS] == [layer.split(" | ") for layer in layers]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:segup|configs|tests|scripts|data)/[\w./]*)`", PAGE))))
def test_a_path_of_the_page_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(segup(?:\.\w+)+)`", PAGE))))
def test_a_dotted_name_of_the_page_exists(name):
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute)


@pytest.mark.parametrize(("question", "path", "name"), WHERE, ids=[question for question, _, _ in WHERE])
def test_what_a_question_asks_for_is_in_the_file_that_answers_it(question, path, name):
    if (ROOT / path).is_dir():
        assert name in import_module(path.replace("/", ".")).__all__
    else:
        assert re.search(rf"^ *(?:def |class )?{name}\b[:( ]", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_question_is_answered():
    asked = PAGE.partition("## Where is ...?")[2].strip().splitlines()
    assert len(asked) - 2 == len(WHERE) > 30
