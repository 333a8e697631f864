"""Torch functions that are handed a size as it is: torch's parser takes nothing but plain numbers where it wants one.

``torch.arange(height)`` refuses a traced size before any mode sees the call. What a model calls by the name of torch's
module, or as a method of a tensor, can be replaced while a trace runs; what it imported by name earlier cannot.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function

from segup.inspection.shape_rules import SHAPE_RULES
from segup.inspection.shape_rules.sizes import leaves_of
from segup.inspection.traced import TracedSize

_REFUSED = re.compile(rf"^TypeError: (\w+)\(\).*\b{TracedSize.__name__}\b")
_OWNERS: tuple[Any, ...] = (torch, Tensor)
_lock = threading.Lock()
_functions: dict[Any, Callable[..., Any]] = {}  # by what stands in their place
_replaced: dict[tuple[Any, str], tuple[Callable[..., Any], int]] = {}  # by whom, and by how many traces


def refused_by_parser(message: str) -> str | None:
    """Return the function whose arguments torch's parser refused for a traced size among them; None for other errors.

    >>> refused_by_parser("TypeError: arange(): argument 'end' (position 1) must be Number, not TracedSize")
    'arange'
    """
    found = _REFUSED.match(message)
    return found[1] if found and found[1] in SHAPE_RULES else None


def torchs_own(function: Any) -> Any:
    """Return the function of torch's in whose place ``function`` stands, or else itself.

    Torch looks a function up by its name to tell a mode what is called.
    """
    return _functions.get(function, function) if type(function) is FunctionType else function


@contextmanager
def handed(names: Iterable[str]) -> Iterator[None]:
    """Let these functions of torch, and methods of tensors, hand a traced size to the mode under which it is traced.

    They do what they did for all other arguments, so that other threads notice nothing. The last trace of those that
    run at once puts them back.
    """
    places = [(owner, name) for name in names for owner in _OWNERS if callable(getattr(owner, name, None))]
    if places:
        # torch.jit knows torch's functions by their identities, and looks these up once
        torch.jit._builtins._get_builtin_table()
    with _lock:
        for owner, name in places:
            if (owner, name) not in _replaced:
                _replaced[owner, name] = (_replace(owner, name), 0)
            back, count = _replaced[owner, name]
            _replaced[owner, name] = (back, count + 1)
    try:
        yield
    finally:
        with _lock:
            for place in places:
                back, count = _replaced.pop(place)
                if count > 1:
                    _replaced[place] = (back, count - 1)
                else:
                    back()


def _replace(owner: Any, name: str) -> Callable[[], None]:
    """Replace an attribute and return what puts it back."""
    own, function = vars(owner).get(name), getattr(owner, name)  # a tensor's method may be that of a class above

    @wraps(function)
    def handing(*args: Any, **kwargs: Any) -> Any:
        sized = any(type(leaf) is TracedSize for leaf in leaves_of((args, kwargs)))
        if sized and torch._C._is_torch_function_mode_enabled():
            return handle_torch_function(function, (), *args, **kwargs)
        return function(*args, **kwargs)

    def put_back() -> None:
        del _functions[handing]
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    _functions[handing] = function
    setattr(owner, name, handing)
    return put_back
