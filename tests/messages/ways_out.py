"""Whatever an error proposes after "try:" is run or parsed, in the very test that met the error.

Loaded as a plugin by the conftest.py at the root. A proposal that cannot be typed fails the test. What is recognised:
overrides (``decoder.fit=correct``: they compose), commands (``segup ...``, ``--option``: they parse), scripts (they
exist and take these options), ``pip install`` (the extra exists), layers (``conv k3 s2``: the language reads them),
calls, keyword arguments and names of Python (they parse, and exist in segup, torch or the standard library). The rest
is prose.
"""

import ast
import builtins
import copy
import functools
import importlib
import inspect
import io
import pkgutil
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import segup.errors

ROOT = Path(__file__).parent.parent.parent
LEFT_OPEN = re.compile(r"\.\.\.|…|<[^>]+>|[A-Z]{2,}")
_GROUPS = ("decoder", "encoder", "data", "loss", "optimizer", "scheduler", "trainer")
_QUOTED = re.compile(r"""(?<![\w=])(?:'([^']+)'|"((?:\\.|[^"\\])+)")""")
_COMMAND = re.compile(
    r"(?:python train\.py|segup [a-z]+)(?: (?:\"(?:\\.|[^\"\\])*\"|'[^']*'|--?[\w-]+|[\w./:=<>\[\]*,-]*[\w/=>\]*]))*"
)
_SCRIPT = re.compile(r"python (scripts/\w+\.py)((?: -?-?[\w./-]+)*)")
_PIP = re.compile(r"pip install '?([\w-]+)(?:\[([\w,]+)\])?'?")
_SWEPT = re.compile(r"(?<![\w-])-m ([\w./]+)=(\S+)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_KEY_VALUE = re.compile(
    r"(?<![\w.'\"(\[+])(\+{0,2}[A-Za-z_][\w.]*(?:/\w+)?)=((?:\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|[^\s,;)\]])*)"
)
_CALL = re.compile(r"(?<![\w.])(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*\((?:[^()]|\([^()]*\))*\)")
_DOTTED = re.compile(r"(?<![\w./])(?:segup|torch)(?:\.\w+)+")
_LAYER = re.compile(r"^(conv|deconv|pool|resize|pixel_shuffle) [a-z]+\d.*$")


def ways(message: str) -> str | None:
    """Return what a message proposes, or None."""
    found = re.search(r"\btry: (.*?)(?=\n\s*\n|\n\w*Error|\Z)", message, re.DOTALL)
    return " ".join(found.group(1).split()) if found else None


def faults(message: str) -> list[str]:
    """Return what is wrong with what a message proposes."""
    text = ways(message)
    if text is None:
        return []
    found = []
    for pattern, judge in ((_PIP, _pip), (_SCRIPT, _script), (_COMMAND, _command), (_SWEPT, _swept)):
        for match in pattern.finditer(text):
            found.append(judge(match))
        text = pattern.sub(" ", text)
    for match in _QUOTED.finditer(text):
        inner = match.group(1) or re.sub(r"\\([\\\"$`])", r"\1", match.group(2))
        if _KEY_VALUE.fullmatch(inner) or re.match(r"[\w.]+='", inner):
            found.append(_override(inner))
        elif _LAYER.match(inner):
            found.append(_layers(inner))
    bare = _QUOTED.sub(" ", text)
    found += [_layers(one) for one in re.split(r",? or ", text.rstrip(".")) if _LAYER.match(one)]
    found += [_call(match.group()) for match in _CALL.finditer(text)]
    bare = _CALL.sub(" ", bare)
    found += [_option(match.group()) for match in _OPTION.finditer(bare)]
    found += [_key_value(match.group(1), match.group(2).rstrip(".")) for match in _KEY_VALUE.finditer(bare)]
    found += [_name(match.group()) for match in _DOTTED.finditer(bare)]
    return [fault for fault in found if fault]


def _pip(match: re.Match) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, extras = match.group(1), (match.group(2) or "").split(",")
    known = {*project["optional-dependencies"], ""}
    if name == "segup":
        return "" if known.issuperset(extras) else f"{match.group()}: no such extra"
    needed = [project["dependencies"], *project["optional-dependencies"].values()]
    return "" if any(name in one for some in needed for one in some) else f"{match.group()}: nothing of segup's"


def _script(match: re.Match) -> str:
    name, words = match.groups()
    code = (ROOT / name).read_text() if (ROOT / name).is_file() else None
    if code is None:
        return f"{match.group()}: no such script"
    unknown = [word for word in words.split() if word.startswith("--") and f'"{word}"' not in code]
    return f"{match.group()}: it does not take {unknown[0]}" if unknown else ""


def _swept(match: re.Match) -> str:
    key, values = match.groups()
    return next(filter(None, (_override(f"{key}={value}") for value in values.rstrip(".,;").split(","))), "")


def _command(match: re.Match) -> str:
    words = shlex.split(match.group())
    name, rest = ("train", words[2:]) if words[0] == "python" else (words[1], words[2:])
    from segup.cli import _COMMANDS, _MODULES

    if name not in _COMMANDS:
        return f"{match.group()}: no such command"
    if name == "train":
        return next(filter(None, (_override(word) for word in rest if "=" in word)), "")
    module = importlib.import_module(f"segup.cli.{_MODULES.get(name, name)}")
    try:
        if rest:  # a command named by itself is one whose arguments are left to the reader
            with redirect_stderr(io.StringIO()) as said:
                module._parser().parse_args(rest)
    except SystemExit:
        return f"{match.group()}: {said.getvalue().splitlines()[-1]}"
    return _layers(rest[0]) if name in ("explain", "shapes") and rest else ""


@functools.cache
def _options() -> str:
    """Return all that the commands' own help says."""
    from segup.cli import _COMMANDS, main

    said = io.StringIO()
    for command in set(_COMMANDS) - {"train"}:
        with redirect_stdout(said), pytest.raises(SystemExit):
            main([command, "--help"])
    return said.getvalue()


def _option(option: str) -> str:
    return "" if re.search(rf"{option}\b", _options()) else f"{option}: no command takes it"


def _layers(text: str) -> str:
    from segup.shapes import parse

    if LEFT_OPEN.search(text):
        return ""
    try:
        parse(text)
    except segup.errors.SegupError as error:
        return f"{text!r}: {error}"
    return ""


@functools.cache
def _override(text: str) -> str:
    """Return why an override does not compose with any choice of its group; ``key=...`` is asked for its key alone."""
    key, _, value = text.partition("=")
    if LEFT_OPEN.search(value):
        text = f"{key}=null"
    group = key.partition(".")[0]
    folder = ROOT / "configs" / group
    choices = [f"{group}={file.stem}" for file in folder.glob("*.yaml")] if "." in key and folder.is_dir() else []
    problem = ""
    for choice in ["", *choices]:
        try:
            _compose(choice, text)
        except Exception as error:
            problem = problem or " ".join(f"{text}: {error}".split())
        else:
            return ""
    return problem


def _compose(choice: str, text: str) -> None:
    """Compose a choice and an override; one of a value is set in what the choice alone composes to, as Hydra does."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(text)
    if "." in override.key_or_group and not override.is_sweep_override():
        ConfigLoaderImpl._apply_overrides_to_config([override], copy.deepcopy(_composed(choice)))
    else:
        _composed(choice, text)


@functools.cache
def _composed(*words: str) -> Any:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    held = dict(GlobalHydra.instance().__dict__)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            return compose("train", overrides=[word for word in words if word])
    finally:
        GlobalHydra.instance().__dict__.update(held)


@functools.cache
def _top_keys() -> set[str]:
    import yaml

    return {*yaml.safe_load((ROOT / "configs" / "train.yaml").read_text()), *_GROUPS, "experiment", "debug"} - {
        "defaults"
    }


def _key_value(key: str, value: str) -> str:
    if "." in key or "/" in key or (ROOT / "configs" / key).is_dir() or (key in _top_keys() and key != "size"):
        return _override(f"{key}={value}")
    if key not in _parameters() and not LEFT_OPEN.search(key):
        return f"{key}=: neither a key of the configuration nor an argument of anything public"
    return "" if not value or LEFT_OPEN.search(value) else _parses(value)


def _parses(text: str) -> str:
    try:
        ast.parse(text.replace("·", "*").replace("−", "-"), mode="eval")
    except SyntaxError:
        return f"{text}: not Python"
    return ""


@functools.cache
def _public() -> dict[str, object]:
    """Return what segup makes public, by its own name."""
    found: dict[str, object] = {}
    for module in pkgutil.walk_packages(segup.__path__, "segup."):
        if module.name.startswith("segup.cli") or module.name.endswith("__main__"):
            continue
        home = importlib.import_module(module.name)
        for name, value in vars(home).items():
            if not name.startswith("_") and getattr(value, "__module__", "").startswith("segup"):
                found.setdefault(name, value)
    return found


@functools.cache
def _parameters() -> set[str]:
    """Return the names of all arguments of what is public in segup, and of torch's layers."""
    from torch import nn

    names: set[str] = set()
    layers = [nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.Upsample, nn.PixelShuffle]
    for part in [*_public().values(), *layers]:
        members = [part, *(vars(part).values() if inspect.isclass(part) else ())]
        for member in filter(callable, members):
            try:
                names |= set(inspect.signature(member).parameters)
            except (ValueError, TypeError):
                continue
    return names


def _call(text: str) -> str:
    if LEFT_OPEN.search(text):
        text = text.replace("...", "None").replace("…", "None")
    if re.match(r"\w+\([^)]*\)$", text) is None and (problem := _parses(text)):
        return problem
    return _name(text.partition("(")[0])


def _name(dotted: str) -> str:
    first, *rest = dotted.split(".")
    if first in ("segup", "torch"):
        import torch

        found: object = {"segup": segup, "torch": torch}[first]
        for place, part in enumerate(rest, 1):
            if not hasattr(found, part):
                try:
                    importlib.import_module(".".join([first, *rest[:place]]))
                except ImportError:
                    return f"{dotted}: there is no {part}"
            found = getattr(found, part)
        return ""
    if rest or first in _public() or hasattr(builtins, first) or first in _parameters():
        return ""  # a method of something of the reader's, or known
    from torch import nn

    usual = {*vars(nn), *vars(nn.functional), "Fraction", "block", "up", "layer", "decoder", "encoder"}
    return "" if first in usual else f"{dotted}: nothing of this name"


class Watch:
    """What was proposed since the last test, and what is already judged."""

    _often = 3  # of messages that differ in numbers alone

    def __init__(self) -> None:
        self.new: list[str] = []
        self.judged: Counter[str] = Counter()

    def see(self, text: str) -> None:
        """Note what a text proposes, a few of each kind."""
        for part in text.split("try: ")[1:]:
            proposed = part.split("\n\n")[0]
            kind = re.sub(r"\d+", "0", re.sub(r"(/[\w.-]+)+", "/", proposed))
            self.judged[kind] += 1
            if self.judged[kind] <= self._often:
                self.new.append(f"try: {proposed}")

    def faults(self) -> list[str]:
        """Judge what is new."""
        new, self.new = self.new, []
        return [f"{fault}\n    in: {message}" for message in new for fault in faults(message)]


_WATCH = Watch()


def pytest_configure(config: pytest.Config) -> None:
    """Note every SegupError that a test expects, and what commands print, here and in processes of their own."""
    expected = type(pytest.raises(segup.errors.SegupError))
    leave, read, talk = expected.__exit__, pytest.CaptureFixture.readouterr, subprocess.Popen.communicate

    def left(self: object, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, segup.errors.SegupError):
            _WATCH.see(str(error))
        return leave(self, kind, error, trace)

    def heard(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: object, **options: object) -> Any:
            said = ask(*arguments, **options)
            for text in said:
                _WATCH.see(text.decode(errors="replace") if isinstance(text, bytes) else text or "")
            return said

        return asked

    expected.__exit__ = left  # type: ignore[method-assign, assignment]
    pytest.CaptureFixture.readouterr = heard(read)  # type: ignore[method-assign]
    subprocess.Popen.communicate = heard(talk)  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Fail the test in which something was proposed that cannot be typed."""
    outcome = yield
    found = _WATCH.faults()
    if found:
        pytest.fail("a way out does not work:\n  " + "\n  ".join(found), pytrace=False)
    return outcome
