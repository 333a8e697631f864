import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import pytest

from segup.conform import Within
from segup.errors import ConfigError
from segup.registry import Registry, check_options, outside_module


@pytest.fixture
def table():
    table = Registry("operator")

    @table.register("scale")
    def scale(x, *, times=2):
        return x * times

    return table


def test_create_calls_the_part_with_its_options(table):
    assert table.create("scale", 3, times=4) == 12


def test_names_and_membership(table):
    assert table.names() == ["scale"]
    assert "scale" in table
    assert "scales" not in table


def test_unknown_name_is_answered_with_the_nearest(table):
    with pytest.raises(ConfigError, match=r"^unknown operator 'scal': did you mean 'scale'\? known: scale$"):
        table.get("scal")


def test_unknown_option_is_answered_with_the_nearest(table):
    with pytest.raises(ConfigError, match="unknown option of operator 'scale' 'time': did you mean 'times'"):
        table.create("scale", 3, time=4)


def test_a_name_must_be_a_string(table):
    with pytest.raises(ConfigError, match="operator must be a name, not 3; known: scale"):
        table.get(3)


@pytest.mark.parametrize("name", [3, None, "", "mine:thing", lambda x: x])
def test_what_could_not_be_asked_for_is_not_entered(table, name):
    """A decorator without parentheses hands over the part itself, which would then never be found."""
    with pytest.raises(
        ConfigError, match=r"cannot be registered: a name is text without a colon\n  try: the decorator"
    ):
        table.register(name)
    assert table.names() == ["scale"]


def test_a_name_is_entered_once(table):
    with pytest.raises(ConfigError, match="operator 'scale' is already"):
        table.register("scale")(lambda x: x)


def test_a_part_from_outside_is_imported_by_module_and_attribute(table, tmp_path, monkeypatch):
    (tmp_path / "outside_parts.py").write_text("def double(x):\n    return 2 * x\nnumber = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert table.create("outside_parts:double", 4) == 8
    with pytest.raises(ConfigError, match="'outside_parts:number' is int, not something to call"):
        table.get("outside_parts:number")
    with pytest.raises(ConfigError, match="'outside_parts:doubel' cannot be imported: .*did you mean 'double'"):
        table.get("outside_parts:doubel")
    sys.modules.pop("outside_parts", None)


def test_a_module_that_is_nowhere_is_answered_with_where_it_is_looked_for(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    looked = f"No module named 'nowhere', installed or in {tmp_path}\n  try: the same in the folder that holds nowhere"
    with pytest.raises(ConfigError, match=re.escape(looked)):
        table.get("nowhere.parts:double")
    (tmp_path / "asking.py").write_text("import nothing_of_the_kind\n")
    with pytest.raises(ConfigError, match="cannot be imported: No module named 'nothing_of_the_kind'$"):
        table.get("asking:double")
    (tmp_path / "failing.py").write_text("import math\nmath.nothing\n")
    with pytest.raises(ConfigError, match="cannot be imported: module 'math' has no attribute 'nothing'"):
        table.get("failing:double")
    lazily = (
        "def __dir__():\n    return ['doubled']\ndef __getattr__(name):\n    raise ImportError(f'{name} needs more')\n"
    )
    (tmp_path / "lazy.py").write_text(lazily)
    with pytest.raises(ConfigError, match="cannot be imported: double needs more"):
        table.get("lazy:double")
    (tmp_path / "later.py").write_text(lazily.replace("ImportError", "AttributeError"))
    with pytest.raises(ConfigError, match="unknown name in later 'double': did you mean 'doubled'"):
        table.get("later:double")


@pytest.mark.parametrize("name", [":", ":Up", ".:Up", "..blocks:Up", "a..b:Up", "a.:Up", "a\0b:Up"])
def test_what_is_no_modules_name_is_said(table, name):
    with pytest.raises(ConfigError, match="cannot be imported: .* is no module's name"):
        table.get(name)


def test_looking_at_a_name_imports_nothing():
    assert outside_module("no_such_module.at_all:Thing") == "no_such_module.at_all"
    assert outside_module("deconv") is None


@pytest.mark.parametrize("kind", [list[int], Sequence[int], tuple[int, ...], Annotated[Sequence[int], Within(1, 3)]])
def test_a_list_is_stored_however_it_is_annotated(table, kind):
    def part(*, widths: kind = (1,), names: Mapping[str, int] | None = None):
        return widths

    part.__module__ = "None.inside"  # of the package that the table looks at, which is none
    table.register("part")(part)
    table.check_stored("part", {"widths": [2, 3], "names": {"a": 1}}, "options")
    with pytest.raises(ConfigError, match=r"options.widths=4 must be a list"):
        table.check_stored("part", {"widths": 4}, "options")
    with pytest.raises(ConfigError, match=r"options.widths\[1\]='x' must be an int"):
        table.check_stored("part", {"widths": [2, "x"]}, "options")


def test_a_part_that_takes_anything_checks_its_own_options():
    check_options(lambda **options: options, {"anything": 1}, "operator 'free'")
