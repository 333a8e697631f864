"""The list of public names is what the packages say in ``__all__``, and each package has a page."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import segup

API = Path(__file__).resolve().parents[2] / "docs" / "api"
ROWS = re.findall(r"^\| \[`(.*?)`\]\((.*?)\) \|.*\| (.*?) \|$", (API / "index.md").read_text(encoding="utf-8"), re.M)
PACKAGES = {"segup", *(f"segup.{module.name}" for module in iter_modules(segup.__path__) if module.ispkg)}


def test_every_package_with_public_names_is_listed():
    assert [name for name, _, _ in ROWS if name not in PACKAGES] == []
    public = {name for name in PACKAGES if getattr(import_module(name), "__all__", [])}
    assert {name for name, _, _ in ROWS} == public


@pytest.mark.parametrize(("package", "page", "names"), ROWS, ids=[row[0] for row in ROWS])
def test_a_package_lists_its_names_and_has_a_page_that_the_site_leads_to(package, page, names):
    module = import_module(package)
    assert re.findall(r"`(.*?)`", names) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert (API / page).read_text() == f"# {package}\n\n::: {package}\n"
    assert f"{package}: api/{page}\n" in (API.parents[1] / "mkdocs.yml").read_text()
