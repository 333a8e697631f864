"""What finds code that learns sizes unseen: compiled code, other threads, code that asks for types, and chance."""

import dis
import gc
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

_CHANCE = ("random", "secrets", "uuid")
_IDENTITY = ("type", "issubclass", "id", "builtins", "__builtins__")


class Watched(Tensor):
    """A tensor without values that tells of every operation on it and of every question for its sizes.

    Torch asks for the sizes of such a tensor in Python, wherever the question comes from: a scripted function, another
    thread, code under ``DisableTorchFunction``. A run in which only followed functions may ask finds them all.

    Args:
        within: The tensor that is watched, on the meta device.
        tell: Called with the operation's name, before it is run.
    """

    within: Tensor
    tell: Callable[[str], None]

    @staticmethod
    def __new__(cls, within: Tensor, tell: Callable[[str], None]) -> "Watched":
        """Wrap ``within``."""
        made = Tensor._make_wrapper_subclass(
            cls,
            within.size(),
            strides=within.stride(),
            storage_offset=within.storage_offset(),
            dtype=within.dtype,
            device=within.device,
            dispatch_sizes_strides_policy="sizes",
        )
        made.within, made.tell = within, tell
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Tell of the operation and run it on what is inside."""
        tellers: list[Watched] = []

        def inside(value: Any) -> Any:
            if not isinstance(value, Watched):
                return value
            tellers.append(value)
            return value.within

        with torch._C.DisableTorchFunction():
            unwrapped = tree_map(inside, (args, kwargs or {}))
            tell = tellers[0].tell
            tell(str(func))
            wrappers = {id(one.within): one for one in tellers}  # what is changed in place stays the same tensor

            def outside(value: Any) -> Any:
                if not isinstance(value, Tensor):
                    return value
                return wrappers[id(value)] if id(value) in wrappers else Watched(value, tell)

            return tree_map(outside, func(*unwrapped[0], **unwrapped[1]))


@contextmanager
def functions_called(by_torch: Callable[[], bool]) -> Iterator[tuple[set[CodeType], set[str]]]:
    """Collect the Python functions that are called, torch's own and most of the standard library left out.

    Args:
        by_torch: Tells whether a function of torch's is at work: what that calls is left out too.

    Yields:
        The code of the functions, and what they take that is another at each call: a clock, random numbers.
    """
    found: set[CodeType] = set()
    chance: set[str] = set()
    before = sys.getprofile()
    # what others have the garbage collector call may come in anywhere
    collected = {getattr(callback, "__code__", None) for callback in gc.callbacks}

    def note(frame: Any, event: str, called: Any) -> None:
        code, home = frame.f_code, _home(frame)
        if event not in ("call", "c_call") or by_torch() or code in collected:
            return
        if event == "c_call":
            if _is_models(home) and _gives_chance(called):
                chance.add(called.__qualname__)
        elif home in _CHANCE and not _home(frame.f_back, 3).startswith("segup.inspection"):
            chance.add(code.co_qualname)
        elif _is_models(home) and code not in found:
            found.add(code)
            names = {*code.co_names, *code.co_freevars}
            held = {**{name: frame.f_globals.get(name) for name in names}, **frame.f_locals}
            chance.update(name for name, value in held.items() if draws(value))

    if before is not None and not callable(before):  # a profiler in C, which could not be put back
        yield found, chance
        return
    sys.setprofile(note)
    try:
        yield found, chance
    finally:
        sys.setprofile(before)


def draws(value: object) -> bool:
    """Return whether a value is a random generator of numpy's, whose calls no profiler is told of.

    >>> draws(7)
    False
    """
    kind = type(value)
    return kind.__module__.startswith("numpy.random") and kind.__name__ in ("Generator", "RandomState")


def _gives_chance(function: Any) -> bool:
    owner, name = getattr(function, "__self__", None), function.__name__
    module = function.__module__ or getattr(owner, "__name__", "")
    clock = module == "time" and name not in ("sleep", "strftime")
    return isinstance(owner, random.Random) or clock or name in ("urandom", "getrandom")


def _home(frame: Any, parts: int = 1) -> str:
    return ".".join(str(frame and frame.f_globals.get("__name__", "")).split(".")[:parts])


def _is_models(home: str) -> bool:
    return home not in ("segup", "torch") and home not in sys.stdlib_module_names


@lru_cache(4096)
def asks_for_types(code: CodeType) -> bool:
    """Return whether a function asks for types or identities: a size that is followed is another object than an int.

    ``isinstance`` is no matter, it takes such a size for an int; nor is ``is`` with a constant or a global name.

    >>> def whole(n):
    ...     return n if type(n) is int else int(n)
    >>> asks_for_types(whole.__code__)
    True
    """
    before: list[dis.Instruction] = []
    for one in dis.get_instructions(code):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME") and one.argval in _IDENTITY:
            return True
        if one.opname == "IS_OP" and not (before and _is_fixed(before)):
            return True
        before.append(one)
    return False


def _is_fixed(before: Sequence[dis.Instruction]) -> bool:
    """Return whether the last value that was loaded is a constant, or reached from a global name."""
    for one in reversed(before):
        if one.opname != "LOAD_ATTR":
            return one.opname in ("LOAD_CONST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
    return False
