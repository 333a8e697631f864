"""Arguments of public functions, held to their annotations before anything is done with them."""

import inspect
import operator
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from segup.conform import LARGEST, short
from segup.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def annotated(function: F) -> F:
    """Return the function with its arguments checked against its annotations: a ConfigError names one that is wrong.

    Values within a container are checked too; ranges are the function's own. A class is returned with its ``__init__``
    checked.

    >>> @annotated
    ... def repeat(word: str, times: int = 2) -> str:
    ...     return word * times
    >>> repeat("ab"), repeat("ab", times=3)
    ('abab', 'ababab')
    >>> repeat("ab", None)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: repeat: times=None must be int
    """
    if isinstance(function, type):
        function.__init__ = annotated(function.__init__)  # type: ignore[misc]
        return function
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError:
            return function(*args, **options)  # which says what is missing or unknown
        kinds = _kinds(function)
        for name, value in given.items():
            kind = kinds.get(name, Any)
            parameter = signature.parameters[name]
            several = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if not several and value is not parameter.default:
                _check(function, name, kind, value)
        return function(*args, **options)

    return typing.cast(F, checked)


def _check(function: Callable[..., Any], name: str, kind: Any, value: Any) -> None:
    if not accepts(kind, value):
        owner = function.__qualname__.removesuffix(".__init__")
        huge = " below 2**63" if isinstance(value, int) and abs(value) >= LARGEST else ""
        raise ConfigError(f"{owner}: {name}={short(value)} must be {_called(kind)}{huge}")


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # names that only a type checker imports
        return {}


def accepts(kind: Any, value: Any) -> bool:
    """Return whether a value may stand where an annotation does.

    >>> accepts(int, 3), accepts(int, 10**30), accepts(float, 3), accepts(str | None, b"x"), accepts(list[int], [None])
    (True, False, True, False, False)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Annotated:
        return accepts(parts[0], value)
    if origin in (Union, UnionType):
        return any(accepts(part, value) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if kind is None or kind is NoneType:
        return value is None
    if kind is int:
        return _is_whole(value)
    if kind is bool:
        return is_flag(value)
    if kind is float:
        return isinstance(value, float) or _is_whole(value)
    if kind is Path:
        return isinstance(value, os.PathLike)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        outer = (list, tuple) if origin in (list, tuple) else origin  # YAML and JSON know lists alone
        # a number in an array of no axes is of a class that can be gone through, and cannot be itself
        return isinstance(value, outer) and getattr(value, "ndim", 1) > 0 and _holds(origin, parts, value)
    plain = origin or kind
    if not isinstance(plain, type):
        return True
    if getattr(plain, "_is_protocol", False):
        members = {*vars(plain), *getattr(plain, "__annotations__", ())}
        return all(hasattr(value, name) for name in members if not name.startswith("_"))
    return callable(value) if plain is Callable else isinstance(value, plain)


def is_flag(value: object) -> bool:
    """Return whether a value is True or False, numpy's among them.

    >>> is_flag(True), is_flag(1)
    (True, False)
    """
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def _is_whole(value: Any) -> bool:
    try:
        return abs(operator.index(value)) < LARGEST
    except (TypeError, ValueError, RuntimeError):
        return False


def _holds(origin: type, parts: tuple[Any, ...], value: Any) -> bool:
    if issubclass(origin, Mapping):
        return all(accepts(parts[0], key) and accepts(parts[1], part) for key, part in value.items())
    if issubclass(origin, tuple) and parts and parts[-1] is not Ellipsis:
        return len(parts) == len(value) and all(map(accepts, parts, value))
    if issubclass(origin, Sequence) and parts:
        inside = parts[0]
        return not (isinstance(value, str | bytes) and inside is not str) and all(
            accepts(inside, part) for part in value
        )
    return True


def _called(kind: Any) -> str:
    if isinstance(kind, type) and not get_args(kind):
        return "None" if kind is NoneType else kind.__name__
    parts = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_called, parts))
    return str(kind).replace("typing.", "").replace("collections.abc.", "").replace("torch.nn.modules.module.", "")
