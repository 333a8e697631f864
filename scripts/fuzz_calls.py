"""Calls that nobody should make: the calls of the docstrings' examples, with other arguments."""

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import os
import pkgutil
import random
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_process import Outcome, forked

import segup
from segup.errors import SegupError

_LOOP: list[Any] = []
_LOOP.append(_LOOP)
ODD: dict[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "7": 7,
    "10**30": 10**30,
    "2**31": 2**31,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "''": "",
    "'zzq'": "zzq",
    "'a\\nb'": "a\nb",
    "b'x'": b"x",
    "[]": [],
    "[None]": [None],
    "[[]]": [[]],
    "()": (),
    "(1, 2)": (1, 2),
    "(0, -3)": (0, -3),
    "(1, 2, 3, 4, 5)": (1, 2, 3, 4, 5),
    "{}": {},
    "{'a': 1}": {"a": 1},
    "{1}": {1},
    "a list in itself": _LOOP,
    "object()": object(),
    "a function": lambda *_, **__: None,
    "int": int,
    "range(3)": range(3),
    "1j": 1j,
    "Fraction(1, 3)": Fraction(1, 3),
    "Decimal('1.5')": Decimal("1.5"),
    "np.int64(3)": np.int64(3),
    "np.float32(2.5)": np.float32(2.5),
    "np.array([1, 2])": np.array([1, 2]),
    "np.zeros((0, 3))": np.zeros((0, 3)),
    "np.array('x')": np.array("x"),
    "torch.tensor(3)": torch.tensor(3),
    "torch.zeros(2)": torch.zeros(2),
    "torch.zeros(1, 3, 0, 4)": torch.zeros(1, 3, 0, 4),
    "torch.zeros(1, 3, 8, 8, dtype=int64)": torch.zeros(1, 3, 8, 8, dtype=torch.int64),
    "torch.full((2, 4, 5, 5), nan)": torch.full((2, 4, 5, 5), float("nan")),
    "torch.nn.ReLU()": torch.nn.ReLU(),
    "Path('nowhere')": Path("nowhere"),
}
_ARGUMENTS = re.compile(
    r"argument|positional|unexpected keyword|required keyword|multiple values|takes (no|from|\d)|abstract class"
)


@dataclass(frozen=True)
class Example:
    """A call in a docstring's example.

    Args:
        where: The name of what the docstring is of.
        before: The statements before it.
        call: The statement with the call, as source.
        place: Which of its calls, in the order of the tree.
        unused: The names of the arguments that it leaves at their defaults.
    """

    where: str
    before: tuple[str, ...]
    call: str
    place: int
    unused: tuple[str, ...]


def documented_calls() -> list[Example]:
    """Return each call of something public in the examples of segup's docstrings."""
    finder, public = doctest.DocTestFinder(), _public()
    found: list[Example] = []
    for module in pkgutil.walk_packages(segup.__path__, "segup."):
        if module.name.endswith("__main__") or module.name.startswith("segup.cli"):
            continue
        for test in finder.find(importlib.import_module(module.name)):
            before: list[str] = []
            for example in test.examples:
                for place, call in enumerate(_calls(ast.parse(example.source))):
                    home, _, name = ast.unparse(call.func).rpartition(".")
                    own = home.partition(".")[0] in ("", "segup") and name in public
                    if own and (call.args or call.keywords):
                        unused = _unused(public[name], call)
                        found.append(Example(test.name, tuple(before), example.source, place, unused))
                before.append(example.source)
    return found


def _public() -> dict[str, Any]:
    """Return what segup and its packages offer, by name."""
    packages = (module.name for module in pkgutil.iter_modules(segup.__path__, "segup.") if module.ispkg)
    homes = [importlib.import_module(name) for name in ("segup", *packages) if name != "segup.cli"]
    return {name: getattr(home, name) for home in homes for name in getattr(home, "__all__", ())}


def _unused(function: Any, call: ast.Call) -> tuple[str, ...]:
    """Return the names of the parameters that a call leaves at their defaults."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return ()
    given = {keyword.arg for keyword in call.keywords} | {parameter.name for parameter in parameters[: len(call.args)]}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(one.name for one in parameters if one.kind in named and one.name not in given)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def call_case(work: Path, examples: list[Example], seed: str, limit: float) -> Outcome:
    """Make one call with odd arguments and judge what comes of it."""
    rng = random.Random(f"calls/{seed}")
    example = rng.choice(examples)
    case = work / "case"
    case.mkdir(exist_ok=True)
    tree = ast.parse(example.call)
    call = list(_calls(tree))[example.place]
    _spoil(call, example.unused, rng)
    shown = re.sub(r"__odd__\[[\"'](.*?)[\"']\]", lambda match: match.group(1), ast.unparse(tree))
    what = f"{example.where}: {' '.join(shown.split())}"
    end, said, _ = forked(lambda: _called(example, tree), case, work / "said", limit)
    fault = {"0": "", "3": "", "4": "bare error"}.get(end, end)
    if "WROTE " in said:
        fault = "writes elsewhere"
    ends = {"0": "returned", "3": "refused", "4": "bare error"}
    return Outcome(what, ends.get(end, end), said, fault)


def _spoil(call: ast.Call, unused: tuple[str, ...], rng: random.Random) -> None:
    """Put an odd value in the place of one argument or two, at times of one that the example leaves out."""
    if unused and rng.random() < 0.3:
        call.keywords.append(ast.keyword(rng.choice(unused), ast.Constant(None)))
    places = [*range(len(call.args)), *(keyword.arg for keyword in call.keywords if keyword.arg)]
    for place in rng.sample(places, min(len(places), rng.choice((1, 1, 1, 2)))):
        odd = ast.parse(f"__odd__[{rng.choice(list(ODD))!r}]", mode="eval").body
        if isinstance(place, int):
            call.args[place] = odd
        else:
            next(keyword for keyword in call.keywords if keyword.arg == place).value = odd


def _called(example: Example, tree: ast.Module) -> int:
    """Return 0 where the call returned, 3 where it was refused as it should be, 4 for any other error."""
    home = example.where
    module = None
    while module is None:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(home)
        home = home.rpartition(".")[0]
    names = {**vars(module), "__odd__": ODD}
    with contextlib.redirect_stdout(io.StringIO()):
        for source in example.before:
            with contextlib.suppress(SegupError):
                exec(compile(source, "<example>", "exec"), names)
        try:
            exec(compile(ast.fix_missing_locations(tree), "<call>", "exec"), names)
        except SegupError as error:
            if not str(error).strip():
                raise
            return 3
        except Exception as error:
            if isinstance(error, TypeError) and _ARGUMENTS.search(str(error)) and _from_outside(error):
                return 3
            _tell(error)
            return 4
    return 0


def _from_outside(error: Exception) -> bool:
    """Whether Python itself refused the call, before anything of segup's ran."""
    trace = error.__traceback__
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return not any("segup" in frame and not frame.startswith("<") for frame in frames[1:])


def _tell(error: Exception) -> None:
    last = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in last if "segup" in frame.filename and "scripts" not in frame.filename]
    place = f"{own[-1].filename.rpartition('segup/')[2]}:{own[-1].lineno} {own[-1].name}" if own else "?"
    os.write(1, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}  ({place})\n".encode(errors="replace"))
