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

from segup.conform import LARGEST, called, keeps, none_of, proposal, short, united
from segup.errors import ConfigError, nearest, unknown

F = TypeVar("F", bound=Callable[..., Any])


def annotated(function: F) -> F:
    """Return the function with its arguments checked against its annotations: a ConfigError names one that is wrong.

    Values within a container are checked too, and the ranges of :class:`segup.conform.Within`. A class is returned
    with its ``__init__`` checked.

    >>> from segup.conform import Within
    >>> @annotated
    ... def repeat(word: str, times: Annotated[int, Within(1)] = 2) -> str:
    ...     return word * times
    >>> repeat("ab"), repeat("ab", times=3)
    ('abab', 'ababab')
    >>> repeat("ab", 0)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: repeat: times=0 must be an int of 1 or more
      try: times=1
    """
    if isinstance(function, type):
        function.__init__ = annotated(function.__init__)  # type: ignore[misc]
        return function
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            bound = signature.bind(*args, **options)
        except TypeError:
            stray = next((name for name in options if name not in signature.parameters), None)
            if args and isinstance(args[0], CheckedPart) and stray is not None:
                known = [name for name in inspect.signature(type(args[0])).parameters if name != "self"]
                owner = _owner(function, args).rstrip(": .")
                raise ConfigError(unknown(f"option of {owner}", stray, known)) from None
            return function(*args, **options)  # which says what is missing or unknown
        kinds = _kinds(function)
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            several = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if not several and value is not parameter.default:
                check(f"{_owner(function, args)}{name}", kinds.get(name, Any), value, parameter.default)
                if type(value).__module__ == "numpy" and _is_whole(value):  # which a checkpoint cannot hold
                    bound.arguments[name] = int(value)
        return function(*bound.args, **bound.kwargs)

    return typing.cast(F, checked)


class CheckedPart:
    """Base of parts that are made from options: the keywords of a constructor, and what its ``**options`` hand on.

    A subclass's constructor is checked against its annotations, and ``inspect.signature`` of it names all options.

    >>> class Base(CheckedPart):
    ...     def __init__(self, *, scale: int = 2): ...
    >>> class Part(Base):
    ...     def __init__(self, kernel_size: int, **common: Any):
    ...         super().__init__(**common)
    >>> inspect.signature(Part)
    <Signature (kernel_size: int, *, scale: int = 2)>
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            annotated(cls)
        cls.__signature__ = _handed_on(cls)  # type: ignore[attr-defined]


def _handed_on(cls: type) -> inspect.Signature:
    found: dict[str, inspect.Parameter] = {}
    for owner in cls.__mro__:
        if "__init__" in vars(owner) and issubclass(owner, CheckedPart):
            own = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
            taken = {one.name: one for one in own if not found or one.kind is one.KEYWORD_ONLY}
            rest = [one for one in own if one.kind is one.VAR_KEYWORD]
            found = {**taken, **{name: one for name, one in found.items() if one.kind is not one.VAR_KEYWORD}}
            if not rest:
                break
            found[rest[0].name] = rest[0]
    return inspect.Signature(sorted(found.values(), key=lambda one: one.kind))


def _owner(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what stands before an argument's name in errors.

    It is the group of the configuration that a class names as its ``group``, or the class or function: by the word that
    it is registered by, if it is.
    """
    if not function.__qualname__.endswith(".__init__"):
        return f"{function.__qualname__}: "
    group, word = (getattr(type(args[0]), attribute, None) for attribute in ("group", "name"))
    if isinstance(group, str):
        return f"{group}."
    return f"'{word}': " if isinstance(word, str) else f"{function.__qualname__.removesuffix('.__init__')}: "


def check(name: str, kind: Any, value: Any, usual: Any = None) -> None:
    """Raise a ConfigError unless ``value``, called ``name``, may stand where the annotation ``kind`` does.

    Where no number in its range is nearest to the value, the error proposes the ``usual`` one.

    >>> from segup.conform import Within
    >>> check("'deconv': scale", Annotated[int, Within(2)], 2.0)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: 'deconv': scale=2.0 must be an int of 2 or more
      try: scale=2
    """
    if accepts(kind, value):
        return
    parts = [part for part in united(kind) if part is not NoneType]
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    if words and all(get_origin(part) is Literal for part in parts):
        raise ConfigError(none_of(name, value, words))
    huge = " below 2**63" if isinstance(value, int) and abs(value) >= LARGEST else ""
    yaml = ": " not in name  # a word of the configuration, such as decoder.widths
    last = name.rpartition(": ")[2]
    meant = nearest(value, words) if words and isinstance(value, str) else None
    way_out = f"\n  try: {last}={meant}" if meant else proposal(kind, last, value, usual)
    raise ConfigError(
        f"{name}={short(value)} must be {called(kind, value, yaml=yaml)}{huge}{_stray(parts, value)}{way_out}"
    )


def _stray(parts: Sequence[Any], value: Any) -> str:
    """Return which value of a list is wrong, where it is one alone that is."""
    for part in parts:
        rules = get_args(part)[1:] if get_origin(part) is Annotated and hasattr(value, "__len__") else ()
        if rules and get_args(part)[0] is not str and accepts(get_args(part)[0], value) and not keeps(rules, value):
            return f"; it has {len(value)} values, {rules[0].said('which must be', len(value))}"
    plain = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    inside = [get_args(part)[0] for part in plain if get_origin(part) in (list, Sequence)]
    if len(inside) != 1 or not isinstance(value, list | tuple):
        return ""
    return next((f"; {short(one)} is not" for one in value if not accepts(inside[0], one)), "")


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:  # names that only a type checker imports
        return {}


def accepts(kind: Any, value: Any) -> bool:
    """Return whether a value may stand where an annotation does.

    A parameter without an annotation takes anything.

    >>> accepts(int, 3), accepts(int, 10**30), accepts(float, 3), accepts(str | None, b"x"), accepts(list[int], [None])
    (True, False, True, False, False)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty):
        return True
    if origin is Annotated:
        return accepts(parts[0], value) and keeps(parts[1:], value)
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
        return not is_flag(value) and abs(operator.index(value)) < LARGEST
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
