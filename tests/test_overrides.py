"""Values and names as they are typed: Hydra and the shell read what was meant."""

import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from segup.cli.data_words import as_command
from segup.errors import ConfigError
from segup.overrides import as_value, pasted

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
