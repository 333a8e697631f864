"""What finds code that learns sizes unseen: compiled code, other threads, and code that asks for types."""

import dis
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

_CHANCE = ("random", "secrets", "uuid")


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
def functions_called(by_torch: Callable[[], bool]) -> Iterator[set[CodeType]]:
    """Collect the code of every Python function that is called, torch's own and most of the standard library left out.

    Args:
        by_torch: Tells whether a function of torch's is at work: what that calls is left out too.
    """
    found: set[CodeType] = set()
    before = sys.getprofile()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code not in found and not by_torch():
            home = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            own = str(frame.f_back and frame.f_back.f_globals.get("__name__")).startswith("segup.inspection")
            if (home in _CHANCE and not own) or (
                home not in ("segup", "torch") and home not in sys.stdlib_module_names
            ):
                found.add(frame.f_code)

    if before is not None and not callable(before):  # a profiler in C, which could not be put back
        yield found
        return
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


def draws_by_chance(code: CodeType) -> bool:
    """Return whether a function is one of the standard library that gives another value at each call."""
    return code.co_filename.rpartition("/")[2].removesuffix(".py") in _CHANCE


@lru_cache(4096)
def asks_for_types(code: CodeType) -> bool:
    """Return whether a function uses ``type`` or ``issubclass``: a size that is followed is of another type than int.

    ``isinstance`` is no matter, it takes such a size for an int.

    >>> def whole(n):
    ...     return n if type(n) is int else int(n)
    >>> asks_for_types(whole.__code__)
    True
    """
    loads = (one for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    return any(one.argval in ("type", "issubclass", "builtins", "__builtins__") for one in loads)
