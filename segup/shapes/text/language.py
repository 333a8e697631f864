"""The little language in which a layer is named on a command line, such as ``conv k3 s2 p1``."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError, nearest, unknown, unreadable_number
from segup.shapes.layer import Layer
from segup.shapes.resize import PixelShuffle, Resize
from segup.shapes.text.spelling import LETTERS, called, is_parameter, kind_of, layers_of, option, words_of
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv, Pool

KINDS: Mapping[str, tuple[Callable[..., Layer], tuple[str, ...]]] = MappingProxyType(
    {
        "conv": (Conv, ("k", "s", "p", "d", "g")),
        "pool": (Pool, ("k", "s", "p", "d", "ceil")),
        "deconv": (ConvTranspose, ("k", "s", "p", "d", "op", "g")),
        "resize": (Resize, ("x",)),
        "pixel_shuffle": (PixelShuffle, ("x",)),
    }
)
EXAMPLE = "conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2"


def parse(text: str) -> list[Layer]:
    """Return the layers that ``text`` names, separated by commas.

    A layer is its kind and its parameters in any order; what is left out has torch's default.

    - ``conv``, ``pool``, ``deconv``: ``k`` kernel size, ``s`` stride, ``p`` padding, ``d`` dilation; ``conv`` and
      ``deconv`` also ``g`` groups, ``deconv`` also ``op`` output padding, ``pool`` also ``ceil``; ``conv`` also
      ``psame`` and ``pvalid``.
    - ``resize``: ``x`` factor, an int (``x2``), a fraction (``x3/2``) or a float (``x0.29``, which nothing can be
      proved about), and the mode, such as ``nearest``; without one it is bilinear.
    - ``pixel_shuffle``: ``x`` factor.

    A value may be height by width: ``k3x1``, ``x2x3``. ``str(layer)`` is a layer's words, and ``parse`` reads them.

    Other spellings are read too: torch's names (``padding=same``, ``kernel_size=(3, 1)``), torch's calls
    (``nn.ConvTranspose2d(1, 1, 4, 2, 1)``) with their defaults, commas between parameters, capitals.

    Raises:
        ShapeError: The text is empty, or a kind, a parameter or its value is unknown, given twice, missing or refused
            by the layer; the message names the layer by place and words.

    >>> parse("conv k7 s2 p3, deconv k2 s2")
    [Conv(kernel_size=7, stride=2, padding=3, dilation=1, groups=1), \
ConvTranspose(kernel_size=2, stride=2, padding=0, output_padding=0, dilation=1, groups=1)]
    >>> parse("conv k3 s2 p1, pool k3 s2 p2")
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: layer 2, 'pool k3 s2 p2': padding of a pool must be at most half its kernel_size, \
3 // 2 = 1, not 2.
      try: pool k3 s2 p1
    """
    if not isinstance(text, str):
        raise ShapeError(f"layers are named by a text such as '{EXAMPLE}', not by {text!r}.")
    if why := unreadable_number(text):
        raise ShapeError(why)
    return [_layer(part, place) for place, part in enumerate(layers_of(text), 1)]


def _layer(part: str, place: int) -> Layer:
    try:
        kind, given = read(part)
        try:
            return made(kind, given)
        except ShapeError as cause:
            raise _with_way(cause, kind, given) from None
    except ShapeError as cause:
        raise ShapeError(f"layer {place}, '{part}': {cause}") from None


def made(kind: str, given: Mapping[str, Any]) -> Layer:
    """Return the layer of a kind with these parameters; whether a pool is max or avg does not matter to sizes."""
    return KINDS[kind][0](**{name: value for name, value in given.items() if name != "pool"})


def read(part: str) -> tuple[str, dict[str, Any]]:
    """Return the kind and the parameters, by torch's names, of one layer; whether they work is not asked.

    A pool that says so is ``pool="max"`` or ``"avg"``.

    Raises:
        ShapeError: The text cannot be read; the message ends with a layer that can, as near to it as was understood.

    >>> read("deconv k3 s2 op5"), read("nn.MaxPool2d(2)")
    (('deconv', {'kernel_size': 3, 'stride': 2, 'output_padding': 5}), ('pool', {'pool': 'max', 'kernel_size': 2}))
    """
    given: dict[str, Any] = {}
    words = words_of(part)
    if not words:
        raise ShapeError(f"there are no words here; layers are named like '{EXAMPLE}'.\n  try: conv k3 s2 p1")
    try:
        found = called(part)
    except ShapeError as cause:
        raise _with_way(cause, _kind_meant(part.partition("(")[0]), given) from None
    if found is None:
        kind, words = _begun(part, words, given)
    else:
        kind, words, given = found[0], [], found[1]
    try:
        for word in words:
            _add(given, kind, word)
        _check_names(given, kind)
    except ShapeError as cause:
        if words and all(word[:1].isdigit() for word in words):  # in the order of torch's parameters
            given = _understood(kind, [f"{letter}{word}" for letter, word in zip(KINDS[kind][1], words, strict=False)])
        raise _with_way(cause, kind, given) from None
    return kind, given


def _kind_meant(name: str) -> str:
    return (kind_of(name.strip()) or ("conv",))[0]


def _begun(part: str, words: list[str], given: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the kind that the first word names, and the other words; what the name itself says is put into given."""
    name, rest = words[0], words[1:]
    if "(" in name:
        name, rest = name.partition("(")[0], []
    close = re.fullmatch(r"([a-z]+)([0-9]+x[0-9]+)", name.lower())
    if close is not None and kind_of(close[1]) is not None:
        name, rest = close[1], [close[2], *rest]
    found = kind_of(name)
    if found is None and is_parameter(part):
        understood = {kind: _understood(kind, words) for kind in ("conv", "deconv", "resize")}
        kind = max(understood, key=lambda kind: len(understood[kind]))
        raise ShapeError(f"it has parameters and no kind of layer.\n  try: {_way(kind, understood[kind])}")
    if found is None:
        kind = _kind_meant(nearest(name, [*KINDS, "Conv2d", "ConvTranspose2d", "MaxPool2d", "Upsample"]) or "conv")
        raise ShapeError(f"{unknown('kind of layer', name, KINDS)}\n  try: {_way(kind, _understood(kind, rest))}")
    given.update(found[2])
    return found[0], rest


def _add(given: dict[str, Any], kind: str, word: str) -> None:
    """Read one word and put what it says into given."""
    name, value = option(word, lambda name, text: _value(text, word, _factor if name == "scale_factor" else _int))
    if name == "":
        name = _needed(kind)
        value = _value(value, word, _factor if kind == "resize" else _int)
    if name == "scale_factor" and kind == "pixel_shuffle":
        name = "upscale_factor"
    if name not in _names(kind):
        raise ShapeError(f"unknown parameter '{word}'; {kind} takes {', '.join(KINDS[kind][1])}, each with its number.")
    if name == "padding" and value in ("same", "valid") and kind != "conv":
        given.setdefault(name, value)
        raise ShapeError(f"'{word}' needs a number after its letter: the padding of a {kind} is never \"{value}\".")
    if name in given and name not in ("mode", "pool"):
        raise ShapeError(f"{name} is given twice, the second time by '{word}'.")
    given[name] = value


def _needed(kind: str) -> str:
    return {"resize": "scale_factor", "pixel_shuffle": "upscale_factor"}.get(kind, "kernel_size")


def _names(kind: str) -> tuple[str, ...]:
    """Return torch's names of the parameters of a kind."""
    more = {"resize": ("mode",), "pool": ("ceil_mode", "pool")}.get(kind, ())
    return (_needed(kind), *(LETTERS[letter] for letter in KINDS[kind][1] if letter in LETTERS), *more)


def _check_names(given: dict[str, Any], kind: str) -> None:
    if "scale_factor" in given and kind == "pixel_shuffle":
        given["upscale_factor"] = given.pop("scale_factor")
    for name in given:
        if name not in _names(kind):
            raise ShapeError(f"unknown parameter '{name}'; {kind} takes {', '.join(_names(kind))}.")
    if _needed(kind) not in given:
        raise ShapeError(f"{_needed(kind)} is missing.")


def _with_way(cause: ShapeError, kind: str, given: Mapping[str, Any]) -> ShapeError:
    """Return a refusal with a layer that can be read in the place of what it proposes."""
    return ShapeError(f"{str(cause).partition(chr(10) + '  try: ')[0]}\n  try: {_way(kind, given)}")


def _way(kind: str, given: Mapping[str, Any]) -> str:
    """Return the layer that is nearest to parameters that may break rules: what is missing is filled in."""
    known = {name: value for name, value in given.items() if name in _names(kind)}
    known = {_needed(kind): 3 if known.get("padding") == "same" else 2, **known}
    pool = " avg" if known.get("pool") == "avg" else ""
    for parameters in (known, mended(kind, known), {_needed(kind): known[_needed(kind)]}, {_needed(kind): 2}):
        try:
            return f"{made(kind, parameters)}{pool}"
        except ShapeError:
            continue
    raise AssertionError(f"'{kind}' with {_needed(kind)} 2 is a layer")


def mended(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, each moved into its range; "same" as the padding that gives size/stride or size·stride."""
    if kind in ("resize", "pixel_shuffle"):
        return dict(given)
    stride = given.get("stride") or (given["kernel_size"] if kind == "pool" else 1)
    values = {"padding": 0, "dilation": 1, **given, "stride": stride}
    axes = []
    for i in (0, 1):
        own = {name: value[i] if isinstance(value, tuple | list) else value for name, value in values.items()}
        k, s, d = (
            max(1, own[name]) if isinstance(own[name], int) else 1 for name in ("kernel_size", "stride", "dilation")
        )
        extent, p, op = d * (k - 1) + 1, own["padding"], own.get("output_padding", 0)
        if not isinstance(p, int) and kind == "deconv":
            p = max(0, -((s - extent) // 2))
            op = s - extent + 2 * p
        p = max(0, p) if isinstance(p, int) else (extent - 1) // 2
        p = min(p, k // 2) if kind == "pool" else p
        axes.append((k, s, p, d, min(max(0, op), max(s, d) - 1) if isinstance(op, int) else 0))
    names = ("kernel_size", "stride", "padding", "dilation", *(("output_padding",) if kind == "deconv" else ()))
    return {**values, **dict(zip(names, zip(*axes, strict=True), strict=False))}


def _understood(kind: str, words: list[str]) -> dict[str, Any]:
    """Return what can be read of a layer's words."""
    given: dict[str, Any] = {}
    for word in words:
        try:
            _add(given, kind, word)
        except ShapeError:
            continue
    return given


def _value(figures: str, word: str, read: Callable[[str], Any]) -> Any:
    """Return one number, or a (height, width) pair for two with an x between them."""
    numbers = [read(part) for part in figures.split("x")]
    if None in numbers or len(numbers) > 2:
        raise ShapeError(f"'{word}' needs a number after its letter, or height x width, such as k3 or k3x1.")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _int(figures: str) -> int | None:
    return int(figures) if re.fullmatch(r"-?[0-9]+", figures) else None


def _factor(figures: str) -> int | Fraction | float | None:
    if re.fullmatch(r"[0-9]+/0*[1-9][0-9]*", figures):
        return Fraction(figures)
    if re.fullmatch(r"[0-9]*\.[0-9]+(e-?[0-9]+)?|[0-9]+\.?e-?[0-9]+|[0-9]+\.", figures):
        return float(figures)
    return _int(figures)
