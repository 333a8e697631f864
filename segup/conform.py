"""Values held to the types and ranges that their reader declares: of a configuration, a checkpoint, a result."""

import dataclasses
import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from segup.errors import ConfigError, unknown

LARGEST = 2**63
"""Beyond which a whole number is none that anything here counts."""
_UNSET = "???"


@dataclass(frozen=True)
class Within:
    """The range of a number, or of the length of a text or list, ends included: ``Annotated[int, Within(1, 64)]``."""

    least: float
    most: float = math.inf

    def __str__(self) -> str:
        return f"{self.least} or more{f' and at most {self.most}' if self.most < math.inf else ''}"


Name = Annotated[str, Within(1, 200)]
Index = Annotated[int, Within(0, 2**16)]
Count = Annotated[int, Within(1, 2**16)]
Signed = Annotated[int, Within(-(2**16), 2**16)]
Few = Annotated[int, Within(0, 64)]
Share = Annotated[float, Within(0, 1)]
Counts = Annotated[list[Count], Within(0, 64)]


def closed(**options: Any) -> Mapping[str, Any]:
    """Return the type of a group with these keys and no others, each of which may be left out; for :func:`conform`."""
    return options


def conform(kind: Any, value: Any, path: str = "", *, refused: str = "") -> Any:
    """Return ``value`` as a ``kind``, or raise a ConfigError that names the place, the value and the rule.

    Args:
        kind: A type: bool, int, float, str, None, Any, unions of them, Literal, Annotated with :class:`Within`,
            ``list[...]``, ``tuple[...]``, ``dict[..., ...]``, a dataclass, a TypedDict, which may have further keys, or
            :func:`closed`.
        value: Plain; an int stands for a float too, and a number for a name.
        path: Where it stands, for the message.
        refused: What is said of a key that a closed group does not have, in place of the nearest match.

    >>> conform(closed(convs=Annotated[int, Within(1, 64)]), {"convs": 10**6}, "decoder")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: decoder.convs=1000000 must be 1 or more and at most 64
    """
    if kind is Any:
        return value
    if isinstance(value, str) and value == _UNSET:
        raise ConfigError(f"{path} is not set: give {path}=...")
    if get_origin(kind) is Annotated:
        inner, rule = get_args(kind)
        sized = isinstance(value, list | tuple) or (isinstance(value, str) and inner is str)
        if sized and not rule.least <= len(value) <= rule.most:
            what = "letters" if isinstance(value, str) else "values"
            raise ConfigError(f"{path}={short(value)} has {len(value)} {what}, which must be {rule}")
        found = conform(inner, value, path, refused=refused)
        if isinstance(found, int | float) and not rule.least <= found <= rule.most:
            raise ConfigError(f"{path}={short(found)} must be {rule}")
        return found
    if isinstance(kind, Mapping) and value is None:
        return None  # an empty group
    if isinstance(kind, Mapping) or is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return _group(kind, value, path, refused)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (list, tuple):
        return _several(kind, value, path, refused)
    if origin is dict:
        held = _mapping(value, path)
        return {
            conform(parts[0], key, f"{path}.{short(key)}"): conform(parts[1], part, f"{path}.{short(key)}")
            for key, part in held.items()
        }
    if origin is Literal:
        if value not in parts:
            raise ConfigError(f"{path}={short(value)} is none of {', '.join(map(str, parts))}")
        return value
    return _simple(kind, value, path, refused)


def _simple(kind: Any, value: Any, path: str, refused: str) -> Any:
    allowed = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and NoneType in allowed:
        return None
    nested = [part for part in allowed if _is_nested(part)]
    for part in nested:
        if len(allowed) - (NoneType in allowed) == 1 or isinstance(value, _outer(part)):
            return conform(part, value, path, refused=refused)
    if str in allowed and int not in allowed and type(value) in (int, float):
        return str(value)  # a name or a precision may look like a number
    if float in allowed and int not in allowed and type(value) is int and abs(value) < LARGEST:
        return float(value)
    if not any(type(value) is part for part in allowed):
        raise ConfigError(f"{path}={short(value)} must be {' or '.join(map(_called, allowed))}")
    return value


def _is_nested(kind: Any) -> bool:
    grouped = isinstance(kind, Mapping) or is_typeddict(kind) or dataclasses.is_dataclass(kind)
    return grouped or get_origin(kind) is not None


def _outer(kind: Any) -> Any:
    """Return the classes of the values that a part of a union is for."""
    if get_origin(kind) is Annotated:
        return _outer(get_args(kind)[0])
    origin = get_origin(kind)
    if origin in (list, tuple):
        return (list, tuple)
    return (
        origin
        if isinstance(origin, type)
        else kind
        if isinstance(kind, type) and kind in (int, float, str)
        else Mapping
    )


def _called(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _called(get_args(kind)[0])
    if kind is NoneType:
        return "null"
    if get_origin(kind) in (list, tuple):
        return "a list"
    return kind.__name__ if isinstance(kind, type) and kind in (bool, int, float, str) else "a group of keys"


def _group(kind: Any, value: Any, path: str, refused: str) -> Any:
    values = _mapping(value, path)
    prefix = f"{path}." if path else ""
    known = kind if isinstance(kind, Mapping) else get_type_hints(kind, include_extras=True)
    made: dict[Any, Any] = {}
    for key, part in values.items():
        if key in known:
            hint = known[key]
            hint = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
            made[key] = conform(hint, part, f"{prefix}{key}", refused=refused)
        elif is_typeddict(kind):
            made[key] = part
        elif refused:
            raise ConfigError(f"{prefix}{short(key, bare=True)} {refused}; known: {', '.join(sorted(known)) or 'none'}")
        else:
            name = short(key, bare=True)
            raise ConfigError(unknown("key", name, known).replace(f"'{name}'", f"'{prefix}{name}'", 1))
    missing = [f"{prefix}{name}" for name in _required(kind) if name not in made]
    if missing:
        raise ConfigError(f"{missing[0]} is not set: give {missing[0]}=...")
    return kind(**made) if dataclasses.is_dataclass(kind) else made  # type: ignore[operator]


def _required(kind: Any) -> list[str]:
    if isinstance(kind, Mapping):
        return []
    if is_typeddict(kind):
        return [name for name in get_type_hints(kind) if name in kind.__required_keys__]
    return [spec.name for spec in fields(kind) if spec.default is MISSING and spec.default_factory is MISSING]


def _several(kind: Any, value: Any, path: str, refused: str) -> Any:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path}={short(value)} must be a list")
    parts = get_args(kind)
    if get_origin(kind) is list or (len(parts) == 2 and parts[1] is Ellipsis):
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise ConfigError(f"{path}={short(value)} must have {len(parts)} values, not {len(value)}")
    made = [
        conform(part, one, f"{path}[{place}]", refused=refused)
        for place, (part, one) in enumerate(zip(parts, value, strict=True))
    ]
    return value if made == list(value) else type(value)(made)


def _mapping(value: Any, path: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{f'{path}={short(value)}' if path else 'what it holds'} must be a group of keys")
    return value


def short(value: object, *, bare: bool = False) -> str:
    """Return a value for a message, in few letters whatever it is; ``bare`` leaves out the quotes of text.

    >>> short([1, 2]), short("a" * 1000), short(10**400)
    ('[1, 2]', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", 'a number of 401 digits')
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST:
        return f"a number of {int(math.log10(abs(value))) + 1} digits"
    how = reprlib.Repr()
    how.maxstring = how.maxother = how.maxlong = 62
    how.maxlist = how.maxtuple = 12
    how.maxdict, how.maxlevel = 8, 4
    text = how.repr(value)
    return text[1:-1] if bare and isinstance(value, str) else text
