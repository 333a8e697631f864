"""Values and names as they are typed: Hydra and the shell read what was meant."""

import inspect
import shlex
import subprocess
from pathlib import Path
from typing import get_type_hints

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from segup.cli.data_words import as_command, read_data_file, with_files
from segup.conform import united
from segup.data.module import SegmentationData
from segup.data.sets import datasets
from segup.errors import ConfigError
from segup.overrides import PATHS, as_value, at_home, pasted
from segup.training.config import EncoderConfig, RunConfig

LISTED = (
    "", " ", ".", "..", "-", "_", "~", "*", "?", "null", "Null", "~/d", "true", "False", "yes", "no", "on", "OFF",
    "-1", "+1", "1", "007", "010", "0x10", "0b1", "0o7", "1_000", "-1_0", ".5", "-.5", "5.", "1.5", "-1.5", "1e3",
    "-1e3", "1E-3", "1e+3", "e3", ".e3", "nan", "-nan", "NaN", "inf", "-inf", "-INF", "Infinity", "-Infinity",
    "$x", "${", "$", "{a}", "{a:1}", "[a]", "[", "]", "(a)", "a,b", ",", "a:b", ":", "a=b", "=", "'", '"', "it's",
    "'a'", '"a"', "\\", "\\'", "a\\", "\\\\'", "a b", " a", "a ", "a#b", "#a", "!a", "&a", "*a", "%a", "@a", "`a`",
    "a;b", "a|b", "a<b", "glob(*)", "range(3)", "choice(a,b)", "???", "größer", "é", "日本", "\u00a0", "\u202f",
    "./a", "../a", "/a", "-a", "--a", "-/a", "-./a", ".a", ".5/a", "-1/a",
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12).filter(
    lambda text: "${" not in text
)
NUMBERS = st.from_regex(r"[-+]?[0-9_]{0,3}\.?[0-9_]{0,2}([eE][-+]?[0-9]{0,2})?", fullmatch=True)
TYPED = TEXTS | NUMBERS | st.sampled_from([one for one in LISTED if "${" not in one])
SCALARS = TYPED | st.integers() | st.floats() | st.booleans() | st.none()
KEYS = st.from_regex(r"[a-z_]+", fullmatch=True).filter(lambda key: key not in ("nan", "inf", "null", "true", "false"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=3),
    max_leaves=4,
)


def read(word):
    return OverridesParser.create().parse_override(word).value()


@given(VALUES)
@example([one for one in LISTED if "${" not in one])
@example({"a": [one for one in LISTED if "${" not in one]})
def test_hydra_and_the_shell_read_what_was_meant(value):
    word = f"data.x={as_value(value)}"
    assert repr(read(word)) == repr(value)  # of the same type, too
    line = as_command({"name": "folder", "x": value})
    assert shlex.split(line) == ["segup", "train", "data=folder", word]


@pytest.mark.parametrize("text", LISTED)
def test_every_text_is_read_as_text(text):
    if "${" in text:
        with pytest.raises(ConfigError, match="cannot be written on a command line.\n  try: another name for the file"):
            as_value(text)
    else:
        assert read(f"x={as_value(text)}") == text


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "\x1b[31m", "${oc.env:HOME}"])
def test_what_a_command_line_cannot_hold_is_refused(text):
    with pytest.raises(ConfigError, match="cannot be written on a command line.\n  try: another name for the file"):
        as_value([text])


@pytest.mark.parametrize("path", [*filter(None, LISTED), 'my run/é, it\'s "1" $x `y` !z\\/last.ckpt'])
def test_what_is_printed_to_be_pasted_is_read_by_bash_and_hydra(path):
    line = f"printf '%s' {pasted('ckpt_path', path)}"
    word = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert read(word) == path


NO_PATHS = {
    "name", "logger", "encoder.name", "encoder.library",
    "data.images", "data.masks", "data.mask_suffix", "data.groups",  # of these, paths below data.root
}  # fmt: skip


def test_every_option_that_is_text_is_known_as_a_path_or_as_none():
    kinds = {
        **get_type_hints(RunConfig),
        **{f"encoder.{key}": kind for key, kind in get_type_hints(EncoderConfig).items()},
    }
    for part in (SegmentationData, *(datasets.get(name) for name in datasets.names())):
        kinds |= {f"data.{key}": one.annotation for key, one in inspect.signature(part).parameters.items()}
    assert {key for key, kind in kinds.items() if {str, Path} & set(united(kind))} == {*PATHS, *NO_PATHS}


@pytest.mark.parametrize(
    ("typed", "read_as"),
    [
        ("data.root=~/d", "data.root=/home/me/d"),
        ("data.root='~/d'", "data.root='/home/me/d'"),
        ("++data.root=~", "++data.root=/home/me"),
        ("run_dir='~/my run'", "run_dir='/home/me/my run'"),
        ("init_from=~/a,~/b", "init_from=/home/me/a,/home/me/b"),
        ("data.root=~nobody-here/d", "data.root=~nobody-here/d"),
        ("data.root=a/~/d", "data.root=a/~/d"),
        ("data.root=a~", "data.root=a~"),
        ("name=~/d", "name=~/d"),
        ("decoder=deconv", "decoder=deconv"),
    ],
)
def test_a_path_may_begin_at_home(typed, read_as, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert at_home(typed) == read_as
    assert with_files([typed]) == [read_as]


@pytest.mark.parametrize("key", PATHS)
def test_every_path_may_begin_at_home(key, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert with_files([f"{key}=~/d"]) == [f"{key}=/home/me/d"]


def test_a_file_of_data_may_lie_and_look_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "d.yaml").write_text("root: ~/pictures\ncache_dir: ~/kept\nclasses: [a, b]\n")
    assert read_data_file(tmp_path / "d.yaml")["root"] == f"{tmp_path}/pictures"
    words = with_files(["data=~/d.yaml"])
    assert [f"++data.root={tmp_path}/pictures", f"++data.cache_dir='{tmp_path}/kept'"] == words[:2]
