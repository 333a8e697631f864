"""What is beside the code: the marker of its types, its citation, and the checks before a commit."""

from pathlib import Path

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
