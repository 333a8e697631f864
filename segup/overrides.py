"""Values as they are written in an override, and overrides as they are typed in a shell."""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from segup.errors import ConfigError
from segup.stored import visible

# What begins otherwise may be a number: -1, .5, 1e3, -inf.
_PLAIN = re.compile(r"\.{1,2}|\.{0,2}/[\w./-]*|[A-Za-z_][\w./-]*", re.ASCII)
_OTHERS = ("true", "false", "null", "nan", "inf", "yes", "no", "on", "off")
_COLOR = re.compile(r"#([0-9a-fA-F]{6})")
PATHS = ("run_dir", "ckpt_path", "init_from", "encoder.weights", "data.root", "data.cache_dir")
"""Keys whose one value is a path, in which a ``~`` at the beginning is the person's home."""


def as_value(value: Any) -> str:
    r"""Return a plain value as it is written in an override.

    >>> print(as_value([1, "big leaf", None, True]), as_value({"train": "a/b.txt"}), as_value("it's"), as_value("-1"))
    [1,'big leaf',null,true] {train:a/b.txt} 'it\'s' '-1'
    """
    return _written(value, _checked)


def quoted(text: str) -> str:
    r"""Return text as Hydra reads it between quotes.

    >>> print(quoted("it's"))
    'it\'s'
    """
    return "'" + re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), text) + "'"


def for_shell(word: str) -> str:
    """Return an override as it is typed in a shell."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    if "'" not in word or re.search("[$`!]", word):
        return shlex.quote(word)
    return '"' + re.sub(r'([\\"])', r"\\\1", word) + '"'


def at_home(word: str) -> str:
    """Return an override in which the ``~`` of a path is the folder that it stands for: shells leave it as it is.

    >>> at_home("run_dir=~/run") == f"run_dir={os.path.expanduser('~/run')}", at_home("name=~/run")
    (True, 'name=~/run')
    """
    key, equals, value = word.partition("=")
    if key.lstrip("+") not in (*PATHS, "data"):
        return word
    found = re.sub(r"""((?:^|,)['"]?)(~[\w.-]*)(?=[/,'"]|$)""", lambda one: one[1] + os.path.expanduser(one[2]), value)
    return f"{key}{equals}{found}"


def pasted(key: str, value: Any) -> str:
    """Return the override that sets a key to a path, a name or names, as a message prints it to be pasted into a shell.

    >>> print(pasted("ckpt_path", "a/last.ckpt"), pasted("ckpt_path", "my run/last.ckpt"))
    ckpt_path=a/last.ckpt "ckpt_path='my run/last.ckpt'"
    """
    return for_shell(f"{key}={_written(value, visible)}")


def _written(value: Any, text: Callable[[str], str]) -> str:
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_key(key)}:{_written(own, text)}' for key, own in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_written(own, text) for own in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    found = text(str(value))
    return found if _PLAIN.fullmatch(found) and found.lower() not in _OTHERS else quoted(found)


def _checked(text: str) -> str:
    if any(ord(letter) < 32 for letter in text) or "${" in text:
        raise ConfigError(f"'{visible(text)}' cannot be written on a command line.\n  try: another name for the file")
    return text


def _key(key: Any) -> str:
    """Return a key, which cannot be quoted."""
    color = _COLOR.fullmatch(str(key))
    return f"0x{color[1]}" if color else key if isinstance(key, str) else _written(key, visible)
