"""What the site's build does beyond its plugins: the doctests of its two scripts."""

import doctest
import importlib.util
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize(("script", "needs"), [("mkdocs_hooks", None), ("griffe_docstrings", "griffe")])
def test_the_examples_of_a_script_run(script, needs):
    if needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed (extra docs)")
    spec = importlib.util.spec_from_file_location(script, SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
