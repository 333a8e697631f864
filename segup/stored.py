"""What stands in files that somebody else may have written: plain values, checked before anything is made of them.

Checkpoints, studies, results and configurations are all read through here: :func:`read_json` and :func:`read_yaml` read
a file, :func:`check_plain` bounds what it unfolds to, :func:`as_written` holds it to the types and ranges that its
reader declares, and :func:`visible` makes its text fit to be shown.
"""

import json
import math
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from segup.conform import LARGEST, conform, short
from segup.errors import ConfigError, DataError

MOST_BYTES = 2**23
"""Of a JSON or YAML file. A result has some ten thousand."""
MOST_VALUES = 1_000_000
"""Which a file may unfold to; 32 characters of text count as one."""
DEEPEST = 40
"""How far groups and lists may lie in one another."""


def check_plain(value: Any, *, finite: bool = True, leaf: Callable[[Any], bool] | None = None) -> None:
    """Raise a ConfigError unless ``value`` is groups and lists of text and numbers that unfold to a bounded size.

    A list that holds itself, or another a million times over, is small in a file and in memory; what walks through it
    never ends.

    Args:
        value: What a file held.
        finite: Whether numbers have to be finite.
        leaf: Whether another kind of value may stand in it.

    >>> check_plain({"a": [1, 2.5, None, "text"]})
    >>> endless = []
    >>> endless.append(endless)
    >>> check_plain(endless)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: it is nested more than 40 deep
    """
    left, ahead = MOST_VALUES, [(value, 0)]
    while ahead:
        one, depth = ahead.pop()
        left -= 1 + (len(one) // 32 if isinstance(one, str) else 0)
        inner: list[Any] = []
        if isinstance(one, dict):
            inner = [*one, *one.values()]
        elif isinstance(one, list | tuple):
            inner = list(one)
        else:
            _check_leaf(one, finite, leaf)
        if depth == DEEPEST and inner:
            raise ConfigError(f"it is nested more than {DEEPEST} deep")
        if left < len(inner):
            raise ConfigError(f"it unfolds to more than {MOST_VALUES} values")
        ahead += [(part, depth + 1) for part in inner]


def _check_leaf(one: Any, finite: bool, leaf: Callable[[Any], bool] | None) -> None:
    if isinstance(one, str):
        if any("\ud800" <= letter <= "\udfff" for letter in one if letter > "\ud7ff"):
            raise ConfigError(f"its text {short(one)} is not Unicode")
    elif isinstance(one, int):
        if abs(one) >= LARGEST:
            raise ConfigError(f"it holds {short(one)}")
    elif isinstance(one, float):
        if finite and not math.isfinite(one):
            raise ConfigError(f"it holds {one}, which is no number")
    elif one is not None and (leaf is None or not leaf(one)):
        raise ConfigError(f"it holds a {type(one).__name__}")


def read_json(file: Path) -> Any:
    """Return the plain values of a JSON file.

    Raises:
        FileNotFoundError: There is none.
        DataError: It cannot be read, or unfolds to more than segup writes.
    """
    return _read(file, json.loads)


def read_yaml(file: Path) -> Any:
    """Return the plain values of a YAML file; see :func:`read_json`."""
    import yaml

    def parse(text: str) -> Any:
        loader = _loader()
        _check_events(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)

    return _read(file, parse)


def read_text(file: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a regular file of at most so many bytes.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is no file, too large, no text, or must not be read.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
        with open(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DataError(f"{file} is no regular file")
            content = opened.read(most + 1)
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise DataError(f"{file}: {cause.strerror}") from cause
    if len(content) > most:
        raise DataError(f"{file} is not what segup writes: it has more than {most} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        raise DataError(f"{file} is not what segup writes: byte {cause.start} is no UTF-8") from cause


def as_written(kind: Any, value: Any, file: Path) -> Any:
    """Return what ``file`` held as a ``kind``, see :func:`conform`.

    Raises:
        DataError: It is not; the message names the file.
    """
    try:
        return conform(kind, value)
    except ConfigError as cause:
        why = str(cause).partition(": give ")[0]  # what is not set cannot be given on a command line
        raise DataError(f"{file} is not what segup writes: {why}") from cause


def _read(file: Path, parse: Callable[[str], Any]) -> Any:
    text = read_text(file)
    try:
        value = parse(text)
        check_plain(value)
    except Exception as cause:  # a parser raises its own, and YAML's makers of dates and numbers whatever they meet
        why = "it is nested too deep" if isinstance(cause, RecursionError) else str(cause) or type(cause).__name__
        raise DataError(f"{file} is not what segup writes: {' '.join(visible(why).split())[:300]}") from cause
    return value


def _check_events(events: Iterable[Any]) -> None:
    """Raise a ConfigError for YAML that is too deep or too long: the C library would overflow its stack on it."""
    depth = 0
    for count, event in enumerate(events):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > DEEPEST + 2:  # a stream, and a document in it
            raise ConfigError(f"it is nested more than {DEEPEST} deep")
        if count > MOST_VALUES:
            raise ConfigError(f"it holds more than {MOST_VALUES} values")


def _loader() -> Any:
    import yaml
    from yaml.constructor import ConstructorError

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Without merge keys: each may hold all before it ten times over, and they unfold while they are read."""

        def flatten_mapping(self, node: Any) -> None:
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    raise ConstructorError(None, None, "it has a merge key '<<'", key.start_mark)

    return Loader


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # of letters, which some scripts are not written without


def visible(text: str, keep: str = "") -> str:
    r"""Return text in which what a terminal or a page would obey is written out: line ends, escapes, reversed writing.

    Args:
        text: Any.
        keep: Characters that stay.

    >>> print(visible("nucleus\n\x1b[31m\u202eevil"))
    nucleus\n\x1b[31m\u202eevil
    """
    if text.isascii() and text.isprintable():
        return text
    kept = {*_JOINERS, *keep}
    hidden = {letter for letter in set(text) - kept if unicodedata.category(letter) in _HIDDEN}
    return "".join(letter.encode("unicode_escape").decode() if letter in hidden else letter for letter in text)


def all_visible(value: Any) -> Any:
    """Return groups and lists with all their text, keys included, :func:`visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {all_visible(key): all_visible(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [all_visible(part) for part in value]
    return value
