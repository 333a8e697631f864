"""What is to be said about a chain of layers at one size, and for all sizes: the rows of ``segup shapes``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import Size, is_pair
from segup.shapes.chain import Chain, flat
from segup.shapes.inversion import inverse
from segup.shapes.layer import Layer
from segup.shapes.proof import Proof, prove_inversion
from segup.shapes.receptive import receptive_field
from segup.shapes.resize import Resize
from segup.shapes.tables import as_text, listed
from segup.shapes.windows import Conv, Pool, Windows

SHOWN = 64


@dataclass(frozen=True)
class Row:
    """One layer at one size; pairs where the size is one.

    Args:
        layer: The layer's words.
        size: Size before it.
        out: Size after it.
        residue: Padded positions at the end that no window reaches; None for a layer without windows.
        unread: Input positions that no window reads, a computed sequence; None for a layer without windows.
        stride: Input pixels of the chain from one output of this layer to the next; None where there is no fixed one.
        field: Receptive field of one output of this layer, in input pixels of the chain; None where there is none.
    """

    layer: str
    size: Any
    out: Any
    residue: Any
    unread: Any
    stride: Any
    field: Any


@dataclass(frozen=True)
class Report:
    """A chain at one size and for all sizes; ``str`` is the table with the verdicts below it.

    Args:
        size: The input's size.
        rows: One for each layer.
        min_size: The smallest size that the chain accepts.
        proofs: What was proved, under its question.
        remarks: What could not be, and why.
    """

    size: Size
    rows: tuple[Row, ...]
    min_size: Any
    proofs: tuple[tuple[str, Proof], ...]
    remarks: tuple[str, ...]

    @property
    def out(self) -> Any:
        """The size after the last layer."""
        return self.rows[-1].out

    def __str__(self) -> str:
        header = ["layer", "in", "out", "residue", "stride", "field", "unread"]
        table = [header]
        for row in self.rows:
            figures = map(_shown, (row.size, row.out, row.residue, row.stride, row.field))
            table.append([row.layer, *figures, _unread(row.unread)])
        lines = [as_text(table, right=range(1, 6)), "", f"Accepts every size from {_shown(self.min_size)} on."]
        for question, proof in self.proofs:
            lines += ["", f"{question}", *(f"  {line}" for line in str(proof).splitlines())]
        return "\n".join([*lines, *(f"\n{remark}" for remark in self.remarks)])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain lists, dicts, numbers and strings, for ``--json``.

        Long sequences are cut: ``unread`` has ``count`` and the ``first`` 64 positions, a proof's residues and
        exceptions are lists of [first, last] runs.
        """
        return {
            "size": self.size,
            "out": self.out,
            "min_size": self.min_size,
            "rows": [_row_dict(row) for row in self.rows],
            "proofs": [{"question": question, **_proof_dict(proof)} for question, proof in self.proofs],
            "remarks": list(self.remarks),
        }


def chain_report(layers: Layer | Sequence[Layer], size: Size) -> Report:
    r"""Return what ``segup shapes`` prints about a chain: every layer at ``size``, and the verdicts for all sizes.

    A chain that goes down and up again is asked whether it gives back its input's size, and, where it has as many
    layers up as down, whether every layer up gives back the size of the layer that it undoes. A chain that goes down
    alone is asked the same with its inverse layers, given the sizes to reach and not.

    Args:
        layers: The layers, first to last, as :func:`segup.shapes.parse` returns them.
        size: The input's size, or a (height, width) pair.

    Raises:
        ShapeError: There is no layer, or one of them refuses its size.

    >>> from segup.shapes import parse
    >>> report = chain_report(parse("conv k3 s2 p1, deconv k3 s2 p1"), 416)
    >>> print(str(report).split("\n\n")[0])
    layer             in  out  residue  stride  field  unread
    conv k3 s2 p1    416  208        1       2      3  0
    deconv k3 s2 p1  208  415                1      5
    >>> [(proof.always, proof.residues) for _, proof in report.proofs]
    [(False, {1})]
    """
    parts = flat(layers, "layers")
    if not parts:
        raise ShapeError("there are no layers to report on.\n  try: segup.shapes.parse('conv k3 s2 p1').")
    chain = Chain(parts)
    chain.out(size)
    rows, here = [], size
    for place, layer in enumerate(parts):
        rows.append(_row(layer, here, parts[: place + 1]))
        here = rows[-1].out
    proofs, remarks = _verdicts(parts)
    return Report(size, tuple(rows), chain.min_size, tuple(proofs), tuple(remarks))


def _row(layer: Layer, size: Size, until_here: Sequence[Layer]) -> Row:
    residue = layer.residue(size) if isinstance(layer, Windows) else None
    unread = layer.unread(size) if isinstance(layer, Windows) else None
    stride, field = _seen(until_here)
    return Row(str(layer), size, layer.out(size), residue, unread, stride, field)


def _seen(layers: Sequence[Layer]) -> tuple[Any, Any]:
    """Return stride and size of the receptive field; None twice for a float resize, which has no fixed ones."""
    if any(isinstance(layer, Resize) and not layer.exact for layer in layers):
        return None, None
    fields = receptive_field(layers)
    if isinstance(fields, tuple):
        return tuple(one.stride for one in fields), tuple(one.size for one in fields)
    return fields.stride, fields.size


def _verdicts(parts: list[Layer]) -> tuple[list[tuple[str, Proof]], list[str]]:
    count = next((place for place, layer in enumerate(parts) if not isinstance(layer, Conv | Pool)), len(parts))
    down, up = parts[:count], parts[count:]
    try:
        if not up:
            return _with_inverses(down), []
        proofs = [("Does the chain give back its input's size?", prove_inversion(down, up, ends_only=True))]
        if len(down) == len(up) > 1:
            proofs.append(("Does every layer up give back the size of its stage?", prove_inversion(down, up)))
    except ShapeError as cause:
        return [], [f"No verdict for all sizes: {cause}"]
    return proofs, []


def _with_inverses(down: list[Layer]) -> list[tuple[str, Proof]]:
    up = [inverse(layer) for layer in reversed(down)]
    return [
        ("Do the inverse layers give back every size?", prove_inversion(down, up)),
        ("Do they when each is given the size to reach, as output_size?", prove_inversion(down, up, matched=True)),
    ]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _unread(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " × ".join(_unread(one) for one in value)
    return f"{len(value)}: {listed(value)}" if value else "0"


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "layer": row.layer,
        "in": row.size,
        "out": row.out,
        "residue": row.residue,
        "unread": _plain(row.unread),
        "stride": _plain(row.stride),
        "receptive_field": row.field,
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Sequence):
        return {"count": len(value), "first": list(value[:SHOWN])}
    return float(value)


def _proof_dict(proof: Proof) -> dict[str, Any]:
    return {
        "always": proof.always,
        "never": proof.never,
        "period": proof.period,
        "min_size": proof.min_size,
        "start": proof.start,
        "residues": _runs(proof.residues),
        "exceptions": _runs(proof.exceptions),
        "counterexample": proof.counterexample,
        "words": str(proof),
    }


def _runs(value: Any) -> Any:
    if is_pair(value) and isinstance(value, tuple):
        return [_runs(one) for one in value]
    return [[run[0], run[-1]] for run in value.ranges]
