"""What is beside the code: the marker of its types, its citation, and the checks before a commit."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import segup

ROOT = Path(__file__).resolve().parent.parent


def test_the_package_says_that_it_is_typed():
    assert Path(segup.__file__).with_name("py.typed").is_file()


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == segup.__version__
    assert cited["authors"] == [{"name": "The segup authors"}]


def test_what_is_checked_before_a_commit_is_what_the_gate_checks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    gate = (ROOT / ".ci" / "run").read_text()
    for hook in hooks:
        assert hook["language"] == "system"  # the versions of the dev extra, nothing from the network
        assert f'step "{hook["name"]}' in gate


TOP = """
.ci .gitignore .pre-commit-config.yaml CHANGELOG.md CITATION.cff CONTRIBUTING.md LICENSE README.md configs conftest.py
constraints.txt data docs mkdocs.yml pyproject.toml scripts segup tests train.py
"""


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="this is no checkout")
def test_nothing_stray_is_kept():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.split("/")[0] for name in names.split("\0") if name} == set(TOP.split())
