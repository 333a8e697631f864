"""The little language in which a layer is named on a command line, such as ``conv k3 s2 p1``."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError, unknown
from segup.shapes.layer import Layer
from segup.shapes.resize import MODES, PixelShuffle, Resize
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv, Pool

LETTERS: Mapping[str, str] = MappingProxyType(
    {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation", "op": "output_padding", "g": "groups"}
)
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
      try: padding=1, or kernel_size=4.
    """
    if not isinstance(text, str):
        raise ShapeError(f"layers are named by a text such as '{EXAMPLE}', not by {text!r}.")
    parts = [part.strip() for part in text.split(",")]
    return [_layer(part, place) for place, part in enumerate(parts, 1)]


def _layer(part: str, place: int) -> Layer:
    try:
        return _named(part.split())
    except ShapeError as cause:
        raise ShapeError(f"layer {place}, '{part}': {cause}") from None


def _named(words: list[str]) -> Layer:
    kind, given = parameters(words)
    return KINDS[kind][0](**given)


def parameters(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the kind and the parameters, by torch's names, of one layer's words; whether they work is not asked.

    >>> parameters(["deconv", "k3", "s2", "op5"])
    ('deconv', {'kernel_size': 3, 'stride': 2, 'output_padding': 5})
    """
    if not words:
        raise ShapeError(f"there are no words here; layers are named like '{EXAMPLE}'.")
    kind, *options = words
    if kind not in KINDS:
        raise ShapeError(unknown("kind of layer", kind, KINDS))
    letters = KINDS[kind][1]
    given: dict[str, Any] = {}
    for option in options:
        name, value = _option(option, kind, letters)
        if name in given:
            raise ShapeError(f"{name} is given twice, the second time by '{option}'.")
        given[name] = value
    needed = "scale_factor" if kind == "resize" else "upscale_factor" if kind == "pixel_shuffle" else "kernel_size"
    if needed not in given:
        letter = "x" if letters == ("x",) else "k"
        raise ShapeError(f"{needed} is missing.\n  try: {kind} {letter}2")
    return kind, given


def _option(word: str, kind: str, letters: tuple[str, ...]) -> tuple[str, Any]:
    """Return one parameter's name and value."""
    if kind == "resize" and word in MODES:
        return "mode", word
    if kind == "pool" and word == "ceil":
        return "ceil_mode", True
    match = re.fullmatch(r"(op|[a-z])(.*)", word)
    letter, figures = match.groups() if match else ("", "")
    if letter not in letters or letter == "ceil":
        raise ShapeError(f"unknown parameter '{word}'; {kind} takes {', '.join(letters)}, each with its number.")
    if letter == "x":
        name = "scale_factor" if kind == "resize" else "upscale_factor"
        return name, _value(figures, word, _factor if kind == "resize" else _int)
    if letter == "p" and kind == "conv" and figures in ("same", "valid"):
        return "padding", figures
    return LETTERS[letter], _value(figures, word, _int)


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
