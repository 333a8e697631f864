"""The Python of the README and of the pages that it leads to runs, and their commands name what exists."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = "convolution-arithmetic"  # its Python goes on from block to block: tests/docs runs it
PAGES = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != GUIDE)]
TEXT = "\n".join(PAGES)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", PYTHON, ids=[block.splitlines()[-1][:40] for block in PYTHON])
def test_the_python_blocks_run(code):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_leads_on_after_two_hundred_lines_to_what_is_there():
    assert len(README.splitlines()) <= 200
    for place, text in [(ROOT, README), *((ROOT / "docs", page) for page in PAGES[1:])]:
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("http") or (place / target).exists(), target


def test_the_two_commands_stand_alone_on_their_lines():
    lines = README.splitlines()
    assert "pip install -e . && python train.py decoder=deconv" in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


def test_the_configuration_tree_is_the_one_on_disk():
    tree = TEXT.partition("## Configuration tree")[2].partition("```\n\n")[0]
    configs = ROOT / "configs"
    groups = sorted({path.parent.relative_to(configs).as_posix() for path in configs.rglob("*.yaml")} - {"."})
    for group in groups:
        line = next(line for line in tree.splitlines() if line.strip().startswith(f"{group}/"))
        named = set(re.findall(r"[a-z][a-z_0-9]+", line.partition(f"{group}/")[2].partition(":")[0]))
        assert named == {path.stem for path in (configs / group).glob("*.yaml")}, group


@pytest.mark.parametrize("command", re.findall(r"^python train\.py (.*)$", TEXT, re.MULTILINE))
def test_every_group_and_key_of_a_command_exists(command):
    """The words are checked here, the commands themselves are run by hand: they take minutes."""
    for word in re.findall(r"([a-z_.]+)=([^\s']+)", command):
        key, value = word
        if (ROOT / "configs" / key).is_dir():
            for option in value.split(","):
                assert (ROOT / "configs" / key / f"{option}.yaml").is_file(), word
        elif "." in key:
            group, _, name = key.partition(".")
            files = (ROOT / "configs" / group).glob("*.yaml")
            known = {key for path in files for key in yaml.safe_load(path.read_text()) or {}}
            known |= (yaml.safe_load((ROOT / "configs" / "train.yaml").read_text()).get(group) or {}).keys()
            assert name.partition(".")[0] in known, word
