"""What the layer language says beyond sizes: which pooling, and CARAFE."""

import re
from dataclasses import dataclass, field
from typing import Any

from segup.errors import ShapeError, nearest, unknown
from segup.shapes.text.language import KINDS, read
from segup.shapes.text.spelling import kind_of, layers_of, words_of

EXTRA = ("carafe",)


@dataclass(frozen=True)
class Words:
    """One layer's words, read: its kind, its parameters by torch's names, and of a pool whether it is max or avg."""

    text: str
    kind: str
    given: dict[str, Any] = field(default_factory=dict)
    pool: str = "max"


def read_words(text: str) -> Words:
    """Return what one layer's words say.

    The language of ``segup shapes``; ``pool`` also takes ``max`` (the default) or ``avg``, and ``carafe`` is known with
    ``x`` scale, ``k`` kernel size of the reassembly (5) and ``g`` groups.

    Raises:
        ShapeError: A kind or parameter is unknown or missing, or there are several layers.

    >>> read_words("pool k2 avg").pool, read_words("carafe x2").given
    ('avg', {'scale': 2, 'kernel_size': 5, 'groups': 1})
    """
    parts = layers_of(text)
    if len(parts) > 1:
        layers = ", ".join(parts)
        raise ShapeError(
            f"one layer is explained at a time, and '{text}' names several.\n"
            f'  try: segup explain "{parts[0]}"; segup shapes "{layers}" shows a chain\'s sizes.'
        )
    words = words_of(text)
    if words and words[0].lower() == "carafe":
        return Words(text, "carafe", _carafe(words[1:]))
    if words and kind_of(words[0].partition("(")[0]) is None and nearest(words[0], ["carafe", *KINDS]) == "carafe":
        raise ShapeError(f"{unknown('kind of layer', words[0], [*KINDS, *EXTRA])}\n  try: carafe x2")
    kind, given = read(text)
    return Words(text, kind, given, pool=given.pop("pool", "max"))


def _carafe(options: list[str]) -> dict[str, Any]:
    given = {"scale": 0, "kernel_size": 5, "groups": 1}
    letters = {"x": "scale", "k": "kernel_size", "g": "groups"}
    for option in options:
        match = re.fullmatch("([xkg])([0-9]+)", option)
        if match is None:
            raise ShapeError(f"unknown parameter '{option}'; carafe takes x, k, g, each with its number.")
        given[letters[match[1]]] = int(match[2])
    if not given["scale"]:
        raise ShapeError("scale is missing.\n  try: carafe x2")
    if given["kernel_size"] % 2 == 0:
        raise ShapeError(
            f"kernel_size of carafe must be odd, so that a neighbourhood has a middle, not {given['kernel_size']}.\n"
            f"  try: kernel_size={given['kernel_size'] + 1}."
        )
    if not given["groups"]:
        raise ShapeError("groups must be an int of at least 1, not 0.")
    return given
