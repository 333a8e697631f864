"""What is to be said about a chain of layers at one size, and for all sizes: what ``segup shapes`` prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import AXIS_NAMES, Size, shown, span, split
from segup.shapes.chain import Chain
from segup.shapes.law import period_through
from segup.shapes.layer import Layer
from segup.shapes.receptive import ReceptiveField, receptive_field
from segup.shapes.resize import Resize
from segup.shapes.rungs import Ladder
from segup.shapes.text.down_up import DownUp
from segup.shapes.text.formula import formula
from segup.shapes.text.plain import plain
from segup.shapes.text.proof import Proof
from segup.shapes.transposed import ConvTranspose

COPIED = 6
"""So many outputs of a nearest resize are listed with what they copy."""


@dataclass(frozen=True)
class Report:
    """A chain for all sizes, and at one size where one is given; ``str`` says all of it.

    Args:
        layers: The chain.
        stages: Its stages, down and up.
        size: The input's size, or None.
        ladder: The sizes stage by stage, or None without a size.
        proofs: What was proved, each under what it is about.
        remarks: What could not be said, and why; and where the exact factor of a resize and torch's float part.
    """

    layers: Chain
    stages: DownUp
    size: Size | None
    ladder: Ladder | None
    proofs: tuple[tuple[str, Proof], ...]
    remarks: tuple[str, ...]

    @property
    def out(self) -> Any:
        """The size after the last layer as the chain is written, with nothing cut or repeated.

        None without a size, and where only a chain that is given its sizes accepts it.
        """
        least = split(self.layers.min_size)
        if self.size is None or any(n < smallest for n, smallest in zip(split(self.size), least, strict=True)):
            return None
        return self.layers.out(self.size)

    @property
    def exact(self) -> bool:
        """Whether a rule holds for all sizes: False with a float factor."""
        return all(layer.exact for layer in self.layers.layers if isinstance(layer, Resize))

    @property
    def formula(self) -> Any:
        """The size after the last layer as a formula in n, a pair where the axes differ; None where there is none."""
        return self._per_axis(lambda i: formula(self.layers.axes[i].laws)) if self.exact else None

    @property
    def period(self) -> Any:
        """(S, U) with out(n + S) = out(n) + U for every n, a pair of them where the axes differ; None for no rule."""
        return self._per_axis(lambda i: period_through(self.layers.axes[i].laws)) if self.exact else None

    @cached_property
    def fields(self) -> tuple[ReceptiveField | tuple[ReceptiveField, ReceptiveField] | None, ...]:
        """For each layer, how the outputs of the chain up to it lie over the input.

        None after a float factor, or where that takes too long.
        """
        parts = self.layers.layers
        starts = (parts[: place + 1] for place in range(len(parts)))
        return tuple(_field(start) for start in starts)

    def nearest(self, proof: Proof) -> tuple[Any, Any] | None:
        """Return the nearest sizes below and above that hold; None without a size, or where the size itself holds."""
        if self.size is None or proof.holds(self.size):
            return None
        return proof.nearest(self.size)

    def notes(self) -> list[str]:
        """Return what holds for all sizes and for the chain as a whole, in one line each."""
        lines = [f"Accepts every size from {shown(self.layers.min_size)} on."]
        if self.ladder is not None and self.ladder.corrections and self.out is not None:
            lines.insert(0, f"As written, with nothing cut or repeated, {shown(self.size)} becomes {shown(self.out)}.")
        only = self.layers.layers[0] if len(self.layers.layers) == 1 else None
        if isinstance(only, ConvTranspose) and self.size is not None:
            ranges = only.reachable(self.size)
            reached = " × ".join(map(span, ranges if isinstance(ranges, tuple) else (ranges,)))
            lines.append(f"Given the size to reach, as output_size, {shown(self.size)} comes to {reached}.")
        for kind, rule in self.rules.items():
            lines.append(f"A {kind} brings n to {rule}.")
        for name, rule, period in self._axes(self.formula, self.period):
            lines.append(f"{name}out(n) = {rule}, so out(n + {period[0]}) = out(n) + {period[1]}.")
        for name, field in self._axes(self.fields[-1]):
            said = _lies(field)
            lines.append(f"{name}{said[0].lower()}{said[1:]}" if name else said)
        if isinstance(only, Resize) and only.mode.startswith("nearest"):
            for name, axis in zip(("Height: ", "Width: "), only.axes, strict=True):
                read = ", ".join(str(axis.taps(place)[0]) for place in range(COPIED))
                said = f"outputs {', '.join(map(str, range(COPIED)))}, … copy input pixels {read}, …"
                lines.append(f"{name}{said}." if only.axes[0] != only.axes[1] else f"O{said[1:]}.")
        return list(dict.fromkeys(lines))

    @property
    def rules(self) -> dict[str, str]:
        """The size rule in symbols of each kind of layer, in the order in which they come first."""
        named = [(str(layer).split()[0], axis) for layer in self.layers.layers for axis in layer.axes]
        rules: dict[str, list[str]] = {}
        for kind, axis in named:
            rules.setdefault(kind, []).append(axis.symbols_explained)
        return {kind: ", or ".join(dict.fromkeys(said)) for kind, said in rules.items()}

    def _axes(self, *values: Any) -> list[Any]:
        """Return the values once with no name, or for height and width with theirs; none where they are None."""
        if None in values:
            return []
        if self.layers.axes[0] == self.layers.axes[1]:
            return [("", *values)]
        split = [value if isinstance(value, tuple) else (value, value) for value in values]
        return [(f"{name.capitalize()}: ", *(value[i] for value in split)) for i, name in enumerate(AXIS_NAMES)]

    def _per_axis(self, rule: Any) -> Any:
        return rule(0) if self.layers.axes[0] == self.layers.axes[1] else (rule(0), rule(1))

    def __str__(self) -> str:
        blocks = [] if self.ladder is None else [str(self.ladder)]
        blocks.append("\n".join(self.notes()))
        for about, proof in self.proofs:
            blocks.append("\n  ".join([f"{about.capitalize()}:", *str(proof).splitlines()]))
        return "\n\n".join([*blocks, *self.remarks])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as lists, dicts, numbers and strings, with these keys.

        Whatever differs by axis is a [height, width] list: sizes where the size is a pair, rules where the layers treat
        the two differently. Positions are cut short: ``count``, and the ``first`` 64.

        - ``layers``: the chain's words.
        - ``size``, ``out``: before the first layer and after the last, with nothing cut or repeated (null where the
          chain as written refuses the size); ``end``: the size at the end of the rungs.
        - ``min_size``: the smallest size that the chain accepts.
        - ``formula``: the output size in words; ``period``: [S, U] with out(n + S) = out(n) + U. null with a float
          factor.
        - ``receptive_field``: ``size``, ``stride`` and ``centre`` (of output 0, where input 0 has its centre at 0) in
          input pixels, of one output of the whole chain.
        - ``rungs``: one for each layer. ``way`` is "down" or "up" and ``stage`` 1 at the highest resolution; ``layer``
          its words; ``in`` and ``out`` its sizes, ``target`` what the next layer takes, ``correction`` target − out
          (negative where it is cut); ``residue``, ``unread``, ``output_padding``, ``unwritten`` where the layer has
          them; and the ``receptive_field`` of the chain up to here. Empty without a size.
        - ``proofs``: ``about``, ``always``, ``never``, ``holds`` (at the size), ``nearest`` ([below, above] that hold,
          where the size does not), ``period``, ``start``, ``min_size``, ``counterexample``, and the exact set:
          ``residues`` modulo the period from ``start`` on and the ``exceptions`` below it, each a list of [first, last]
          runs; ``words`` says all of it.
        - ``remarks``: what could not be said, and why; where the exact factor of a resize and torch's float part.

        >>> from segup.shapes import chain_report, parse
        >>> values = chain_report(parse("conv k2 s2"), 417).as_dict()
        >>> values["out"], values["rungs"][0]["unread"], values["proofs"][0]["residues"]
        (208, {'count': 1, 'first': [416]}, [[0, 0]])
        """
        rungs = self.ladder.rungs if self.ladder else ()
        size, fields = self.size, [plain(field) for field in self.fields]
        return {
            "layers": str(self.layers),
            "size": plain(size),
            "out": plain(self.out),
            "end": plain(self.ladder.out if self.ladder else None),
            "min_size": plain(self.layers.min_size),
            "formula": plain(self.formula),
            "period": plain(self.period),
            "receptive_field": fields[-1],
            "rungs": [{**plain(rung), "receptive_field": field} for rung, field in zip(rungs, fields, strict=False)],
            "proofs": [
                {
                    "about": about,
                    "always": proof.always,
                    "never": proof.never,
                    "holds": None if size is None else proof.holds(size),
                    "nearest": plain(self.nearest(proof)),
                    **plain(proof),
                }
                for about, proof in self.proofs
            ],
            "remarks": list(self.remarks),
        }


def _field(layers: Sequence[Layer]) -> ReceptiveField | tuple[ReceptiveField, ReceptiveField] | None:
    try:
        return receptive_field(layers)
    except ShapeError:
        return None


def _lies(field: ReceptiveField) -> str:
    """Say what one output sees, and how the outputs lie over the input."""
    if not field.size:
        return "No output reads the input."
    moved = field.centre - (field.stride - 1) / 2
    grid = "as on the grid of align_corners=False"
    if moved:
        many = "pixel" if abs(moved) <= 1 else "pixels"
        grid = f"{abs(moved)} {many} {'after' if moved > 0 else 'before'} the grid of align_corners=False"
    return (
        f"Receptive field {field.size}, total stride {field.stride}; the first output has its centre at input pixel "
        f"{str(field.centre).replace('-', '−')}, {grid}."
    )
