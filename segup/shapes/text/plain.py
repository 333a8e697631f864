"""Parts of a report as plain values, for programs."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from segup.shapes.receptive import ReceptiveField
from segup.shapes.rungs import Rung
from segup.shapes.sets import Runs
from segup.shapes.text.proof import Proof

SHOWN = 64
_RUNG = ("target", "correction", "residue", "unread", "output_padding", "unwritten")
_PROOF = ("period", "start", "min_size", "residues", "exceptions", "counterexample")


def plain(value: Any) -> Any:
    """Return a part of a report as lists, dicts, numbers and strings; long sequences are cut short.

    >>> plain((range(100)[:2], None, Fraction(1, 2)))
    [{'count': 2, 'first': [0, 1]}, None, 0.5]
    """
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Rung):
        named = {"way": value.way, "stage": value.stage, "layer": value.layer, "in": plain(value.size)}
        return {**named, "out": plain(value.out), **{name: plain(getattr(value, name)) for name in _RUNG}}
    if isinstance(value, Proof):
        return {**{name: plain(getattr(value, name)) for name in _PROOF}, "words": str(value)}
    if isinstance(value, ReceptiveField):
        return {"size": value.size, "stride": float(value.stride), "centre": float(value.centre)}
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Runs):
        return [[run[0], run[-1]] for run in value.ranges]
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, Sequence):
        return {"count": len(value), "first": list(value[:SHOWN])}
    raise TypeError(f"{value!r} has no plain form")
