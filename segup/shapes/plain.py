"""A report on a chain as plain values, for programs."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from segup.shapes.receptive import ReceptiveField
from segup.shapes.rungs import Rung
from segup.shapes.sets import Runs

if TYPE_CHECKING:
    from segup.shapes.proof import Proof
    from segup.shapes.report import Report

SHOWN = 64


def as_plain(report: "Report") -> dict[str, Any]:
    """Return a report as lists, dicts, numbers and strings, with these keys.

    Whatever differs by axis is a [height, width] list: sizes where the size is a pair, rules where the layers treat the
    two differently. Positions are cut short: ``count``, and the ``first`` 64.

    - ``layers``: the chain's words.
    - ``size``, ``out``: before the first layer and after the last, with nothing cut or repeated (null where the chain
      as written refuses the size); ``end``: the size at the end of the rungs.
    - ``min_size``: the smallest size that the chain accepts.
    - ``formula``: the output size in words; ``period``: [S, U] with out(n + S) = out(n) + U. null with a float factor.
    - ``receptive_field``: ``size``, ``stride`` and ``centre`` (of output 0, where input 0 has its centre at 0) in input
      pixels, of one output of the whole chain.
    - ``rungs``: one for each layer. ``way`` is "down" or "up" and ``stage`` 1 at the highest resolution; ``layer`` its
      words; ``in`` and ``out`` its sizes, ``target`` what the next layer takes, ``correction`` target − out (negative
      where it is cut); ``residue``, ``unread``, ``output_padding``, ``unwritten`` where the layer has them; and the
      ``receptive_field`` of the chain up to here. Empty without a size.
    - ``proofs``: ``about``, ``always``, ``never``, ``holds`` (at the size), ``nearest`` ([below, above] that hold,
      where the size does not), ``period``, ``start``, ``min_size``, ``counterexample``, and the exact set: ``residues``
      modulo the period from ``start`` on and the ``exceptions`` below it, each a list of [first, last] runs; ``words``
      says all of it.
    - ``remarks``: what could not be said, and why; where the exact factor of a resize and torch's float part.

    >>> from segup.shapes import chain_report, parse
    >>> plain = chain_report(parse("conv k2 s2"), 417).as_dict()
    >>> plain["out"], plain["rungs"][0]["unread"], plain["proofs"][0]["residues"]
    (208, {'count': 1, 'first': [416]}, [[0, 0]])
    """
    steps = report.ladder.rungs if report.ladder else ()
    return {
        "layers": str(report.layers),
        "size": _plain(report.size),
        "out": _plain(report.out),
        "end": _plain(report.ladder.out if report.ladder else None),
        "min_size": _plain(report.layers.min_size),
        "formula": _plain(report.formula),
        "period": _plain(report.period),
        "receptive_field": _plain(report.fields[-1]),
        "rungs": [
            {**_rung(rung), "receptive_field": _plain(field)} for rung, field in zip(steps, report.fields, strict=False)
        ],
        "proofs": [{"about": about, **_proof(proof, report)} for about, proof in report.proofs],
        "remarks": list(report.remarks),
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {
        "way": rung.way,
        "stage": rung.stage,
        "layer": rung.layer,
        "in": _plain(rung.size),
        "out": _plain(rung.out),
        "target": _plain(rung.target),
        "correction": _plain(rung.correction),
        "residue": _plain(rung.residue),
        "unread": _plain(rung.unread),
        "output_padding": _plain(rung.output_padding),
        "unwritten": _plain(rung.unwritten),
    }


def _proof(proof: "Proof", report: "Report") -> dict[str, Any]:
    return {
        "always": proof.always,
        "never": proof.never,
        "holds": None if report.size is None else proof.holds(report.size),
        "nearest": _plain(report.nearest(proof)),
        "period": _plain(proof.period),
        "start": _plain(proof.start),
        "min_size": _plain(proof.min_size),
        "residues": _plain(proof.residues),
        "exceptions": _plain(proof.exceptions),
        "counterexample": _plain(proof.counterexample),
        "words": str(proof),
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, ReceptiveField):
        return {"size": value.size, "stride": float(value.stride), "centre": float(value.centre)}
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Runs):
        return [[run[0], run[-1]] for run in value.ranges]
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Sequence):
        return {"count": len(value), "first": list(value[:SHOWN])}
    raise TypeError(f"{value!r} has no plain form")
