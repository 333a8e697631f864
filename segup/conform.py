"""Values held to the types and ranges that their reader declares: of a configuration, a checkpoint, a result."""

import dataclasses
import inspect
import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from segup.errors import ConfigError, nearest, unknown

FAR = 2**16
"""From which an upper end is a limit against nonsense, that nobody needs to be told of."""
LARGEST = 2**63
"""Beyond which a whole number is none that anything here counts."""
_UNSET = "???"


@dataclass(frozen=True)
class Within:
    """The range of a number, or of the length of a text or list: ``Annotated[int, Within(1, 64)]``.

    Args:
        least, most: Its ends, which belong to it.
        above, below: Ends that do not.

    What the number means, for a message, may follow as text: ``Annotated[float, Within(0, 1), "of all pixels"]``.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def holds(self, value: float) -> bool:
        """Return whether a finite ``value`` lies within."""
        return self.least <= value <= self.most and self.above < value < self.below and abs(value) < math.inf

    def nearest(self, value: float) -> float | None:
        """Return the value within that comes nearest, or None where that is an end that does not belong to it.

        >>> Within(0.5, 0.9999).nearest(95), Within(0, 1).nearest(-3)  # a share of 1 that is given in percent
        (0.95, 0)
        """
        percent = min(self.most, self.below) <= 1 and value >= 5 and self.holds(value / 100)
        found = value / 100 if percent else min(max(value, self.least), self.most)
        return found if self.holds(found) else None

    def said(self, noun: str, value: Any = None) -> str:
        """Return what a value must be; a far end is named only to a ``value`` that lies beyond it."""
        if self.least == self.most:
            return f"{noun} {self.least}"
        number = value if isinstance(value, int | float) else math.nan
        parts = [
            text.format(end)
            for text, end, broken in (
                ("of {} or more", self.least, number < self.least),
                ("above {}", self.above, number <= self.above),
                ("below {}", self.below, number >= self.below),
                ("at most {}", self.most, number > self.most),
            )
            if abs(end) < FAR or (broken and abs(end) < math.inf)
        ]
        return f"{noun} {' and '.join(parts)}".strip()


@dataclass(frozen=True)
class Odd:
    """An odd number below 2¹⁶, such as the kernel of a convolution that keeps every pixel in its place."""

    def holds(self, value: int) -> bool:
        """Return whether ``value`` is one."""
        return 1 <= value < 2**16 and value % 2 == 1

    def nearest(self, value: int) -> int:
        """Return the odd number that is ``value`` or the next above it."""
        return min(max(1, value + (value + 1) % 2), 2**16 - 1)

    def said(self, noun: str, value: Any = None) -> str:
        """Return what a value must be."""
        far = f" below {2**16}" if isinstance(value, int) and value >= 2**16 else ""
        return f"{noun.replace('an ', 'an odd ')}{far}: an even kernel shifts the map by half a pixel"


Name = Annotated[str, Within(1, 200)]
Index = Annotated[int, Within(0, 2**16)]
Count = Annotated[int, Within(1, 2**16)]
Signed = Annotated[int, Within(-(2**16), 2**16)]
Few = Annotated[int, Within(0, 64)]
Share = Annotated[float, Within(0, 1)]
BelowOne = Annotated[float, Within(0, below=1)]
Positive = Annotated[float, Within(above=0)]
NotNegative = Annotated[float, Within(0)]
OddKernel = Annotated[int, Odd()]
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
    segup.errors.ConfigError: decoder.convs=1000000 must be an int of 1 or more and at most 64
    """
    if kind in (Any, inspect.Parameter.empty):
        return value
    if isinstance(value, str) and value == _UNSET:
        raise ConfigError(f"{path} is not set: give {path}=...")
    if get_origin(kind) is Annotated:
        inner, *rules = get_args(kind)
        sized = isinstance(value, list | tuple) or (isinstance(value, str) and inner is str)
        if sized and not keeps(rules, value):
            what = "letters" if isinstance(value, str) else "values"
            raise ConfigError(f"{path}={short(value)} has {len(value)} {what}, {rules[0].said('which must be')}")
        found = conform(inner, value, path, refused=refused)
        if isinstance(found, int | float) and not keeps(rules, found):
            raise ConfigError(f"{path}={short(found)} must be {called(kind, value, yaml=True)}")
        return found
    if isinstance(kind, Mapping) and value is None:
        return None  # an empty group
    if isinstance(kind, Mapping) or is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return _group(kind, value, path, refused)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (list, tuple, Sequence):
        return _several(kind, value, path, refused)
    if origin in (dict, Mapping):
        held = _mapping(value, path)
        return {
            conform(parts[0], key, f"{path}.{short(key)}"): conform(parts[1], part, f"{path}.{short(key)}")
            for key, part in held.items()
        }
    if origin is Literal:
        if value not in parts:
            raise ConfigError(none_of(path, value, parts))
        return value
    return _simple(kind, value, path, refused)


def _simple(kind: Any, value: Any, path: str, refused: str) -> Any:
    allowed = united(kind)
    if value is None and NoneType in allowed:
        return None
    if type(value) is bool and bool in allowed:
        return value
    nested = [part for part in allowed if _is_nested(part)]
    for part in nested:
        only = len(allowed) - (NoneType in allowed) == 1
        if only or (isinstance(value, _outer(part)) and (part is nested[-1] or _has_length(part, value))):
            return conform(part, value, path, refused=refused)
    if str in allowed and int not in allowed and type(value) in (int, float):
        return str(value)  # a name or a precision may look like a number
    if float in allowed and int not in allowed and type(value) is int and abs(value) < LARGEST:
        return float(value)
    if not any(type(value) is part for part in allowed):
        raise ConfigError(f"{path}={short(value)} must be {called(kind, value, yaml=True)}")
    return value


def _is_nested(kind: Any) -> bool:
    grouped = isinstance(kind, Mapping) or is_typeddict(kind) or dataclasses.is_dataclass(kind)
    return grouped or get_origin(kind) is not None


def _has_length(kind: Any, value: Any) -> bool:
    """Return whether a value is as long as a tuple has to be; if not, another one of a union may be meant."""
    parts = get_args(kind)
    return get_origin(kind) is not tuple or Ellipsis in parts or len(value) == len(parts)


def _outer(kind: Any) -> Any:
    """Return the classes of the values that a part of a union is for."""
    if get_origin(kind) is Annotated:
        return _outer(get_args(kind)[0])
    origin = get_origin(kind)
    if origin in (list, tuple, Sequence):
        return (list, tuple)
    if origin is Literal:
        return tuple(type(word) for word in get_args(kind))
    return (
        origin
        if isinstance(origin, type)
        else kind
        if isinstance(kind, type) and kind in (int, float, str)
        else Mapping
    )


def united(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union; of another type, itself alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def keeps(rules: Sequence[Any], value: Any) -> bool:
    """Return whether a number, or the length of a text or list, keeps the rules that an annotation holds."""
    measured = len(value) if hasattr(value, "__len__") else value
    return all(rule.holds(measured) for rule in rules if isinstance(rule, Within | Odd))


_NOUNS: Mapping[Any, str] = {
    Fraction: "a fraction",
    int: "an int",
    float: "a number",
    bool: "True or False",
    str: "text",
    Path: "a path",
}


def called(kind: Any, value: Any = None, *, yaml: bool = False) -> str:
    """Return what a value must be, in words: those of YAML, or of Python.

    >>> called(list[Count] | None), called(Literal["up", "down"]), called(Annotated[float, Within(above=0, most=1)])
    ('a list, each an int of 1 or more, or None', 'up or down', 'a number above 0 and at most 1')
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind == Name:
        return "a name"
    if origin is Annotated:
        noun = called(parts[0], value, yaml=yaml)
        for rule in parts[1:] if parts[0] in (int, float, Fraction) else ():
            noun = f"{noun}: {rule}" if isinstance(rule, str) else rule.said(noun, value)
        return noun
    if origin in (Union, UnionType):
        words = [called(part, value, yaml=yaml) for part in parts]
        words[0], colon, why = words[0].partition(": ")
        return (", or " if re.search(r"[,\d]", words[0]) else " or ").join(words) + colon + why
    if origin is Literal:
        return " or ".join(map(str, parts))
    if kind in (None, NoneType):
        return "null" if yaml else "None"
    if origin in (list, tuple, Sequence) and parts:
        same = origin is not tuple or parts[-1] is Ellipsis
        count = "a list" if same else f"{len(parts)} values"
        return f"{count}, each {called(parts[0], yaml=yaml)}" if parts[0] is not Any else count
    if isinstance(kind, Mapping) or is_typeddict(kind) or dataclasses.is_dataclass(kind):
        return "a group of keys"
    if origin in (dict, Mapping):
        held = "" if Any in parts else f" from {called(parts[0], yaml=yaml)} to {called(parts[1], yaml=yaml)}"
        return f"{'a group of keys' if yaml else 'a mapping'}{held}"
    if kind in _NOUNS:
        return _NOUNS[kind].lower() if yaml else _NOUNS[kind]
    return getattr(origin or kind, "__name__", str(kind))


def none_of(path: str, value: Any, known: Iterable[Any]) -> str:
    """Return the message for a word that is none of those known, with the nearest.

    >>> none_of("'deconv': init", "bilinaer", ("he", "bilinear"))
    "'deconv': init='bilinaer' is unknown: did you mean 'bilinear'? known: he, bilinear"
    """
    names = [str(name) for name in known]
    match = nearest(value, names) if isinstance(value, str) else None
    hint = f": did you mean '{match}'?" if match else ";"
    return f"{path}={short(value)} is unknown{hint} known: {', '.join(names)}"


def proposal(kind: Any, name: str, value: Any, usual: Any = None) -> str:
    """Return the line that gives a number in the range of ``kind``, if there is one.

    It is the nearest to ``value``; where none is nearest, it is the ``usual`` number, or the ``usual`` numbers.

    >>> proposal(Annotated[int, Within(2)], "scale", 1).strip(), proposal(int, "scale", "x")
    ('try: scale=2', '')
    >>> proposal(Annotated[float, Within(above=0)], "lr", 0, usual=0.1).strip()
    'try: lr=0.1'
    >>> proposal(Annotated[Sequence[Count], Within(2, 2)], "neck.widths", [8], usual=(8, 16)).strip()
    "try: 'neck.widths=[8,16]'"
    """
    near = _nearest(kind, value)
    if near is None and isinstance(usual, tuple) and usual and all(isinstance(one, int) for one in usual):
        numbers = f"{name}=[{','.join(map(str, usual))}]"
        return f"\n  try: '{numbers}'" if "." in name else f"\n  try: {numbers}"
    if near is None and isinstance(usual, int | float) and not isinstance(usual, bool):
        near = usual
    return "" if near is None else f"\n  try: {name}={near:{'g' if isinstance(near, float) else 'd'}}"


def _nearest(kind: Any, value: Any) -> float | None:
    """Return the number in the range of ``kind`` that comes nearest to a ``value`` outside of it."""
    parts = united(kind)
    numbers = [p for p in parts if p in (int, float) or (get_origin(p) is Annotated and get_args(p)[0] in (int, float))]
    if len(numbers) != 1 or isinstance(value, bool):
        return None
    inner, *rules = get_args(numbers[0]) or numbers
    try:
        near = inner(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    for rule in rules:
        near = near if isinstance(rule, str) else rule.nearest(near)
        if near is None:
            return None
    return inner(near) if near != value or inner is int else None


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
    if get_origin(kind) is not tuple or (len(parts) == 2 and parts[1] is Ellipsis):
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
