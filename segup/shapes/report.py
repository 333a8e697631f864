"""What is to be said about a chain of layers at one size, and for all sizes: the content of ``segup shapes``."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from segup.errors import ShapeError
from segup.shapes.arguments import AXIS_NAMES, Size, figure, flag, is_pair, span, split
from segup.shapes.chain import Chain
from segup.shapes.course import Course, course
from segup.shapes.formula import formula
from segup.shapes.inversion import inverse
from segup.shapes.law import period_through
from segup.shapes.layer import Layer
from segup.shapes.plain import as_plain
from segup.shapes.proof import Proof, prove_inversion
from segup.shapes.receptive import ReceptiveField, receptive_field
from segup.shapes.resize import Resize, ScaleAxis
from segup.shapes.rungs import Ladder, checked
from segup.shapes.transposed import ConvTranspose
from segup.shapes.ways import climbed, with_ways
from segup.shapes.windows import Conv, Pool

COPIED = 6
"""So many outputs of a nearest resize are listed with what they copy."""
GIVEN = "each given the size to reach"


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
    stages: Course
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
        return _exact(self.layers.layers)

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
            reached = _spans(only.reachable(self.size))
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
        """Return everything as plain values, with the keys of :func:`segup.shapes.plain.as_plain`."""
        return as_plain(self)


def chain_report(
    layers: Layer | Sequence[Layer], size: Size | None = None, *, matched: bool = False, out: Size | None = None
) -> Report:
    r"""Return what ``segup shapes`` prints about a chain: every layer at ``size``, and the verdicts for all sizes.

    A chain that goes down and up again (:func:`segup.shapes.course.course` says where) is asked whether every stage up
    gives back the size of the stage down that it undoes: as it is written, with every transposed convolution given the
    size to reach, and at the ends alone. A chain that goes down alone is asked the same with its inverse layers.

    Args:
        layers: The layers, first to last, as :func:`segup.shapes.parse` returns them.
        size: The input's size, or a (height, width) pair; None for what holds for all sizes alone.
        matched: Give each transposed convolution the size to reach, as torch's ``output_size``.
        out: The size to end with in place of the input's, or a (height, width) pair.

    Raises:
        ShapeError: There is no layer, one of them refuses its size, or a size cannot be reached.

    >>> from segup.shapes import parse
    >>> report = chain_report(parse("conv k3 s2 p1, deconv k3 s2 p1"), 416)
    >>> print(str(report).split("\n\n")[0])
            layer             in  out  residue
    down 1  conv k3 s2 p1    416  208        1
    up 1    deconv k3 s2 p1  208  415           repeats 1 to fit 416
    >>> [(about, proof.always) for about, proof in report.proofs]
    [('as written', False), ('each given the size to reach', True)]
    >>> report.nearest(report.proofs[0][1])
    (415, 417)
    """
    chain = Chain(layers if not isinstance(layers, Layer) else [layers])
    if not chain.layers:
        raise ShapeError("there are no layers to report on.\n  try: segup.shapes.parse('conv k3 s2 p1').")
    matched, stages, steps = flag(matched, "matched"), course(chain), None
    if size is not None:
        sizes, ends = checked(size, out)
        # ints, whatever kind of numbers they came as
        size = (sizes[0], sizes[1]) if is_pair(size) else sizes[0]
        out = (ends[0] or 0, ends[1] or 0) if is_pair(out) else ends[0]
        try:
            stages, steps = climbed(chain, size, matched, out)
        except ShapeError as cause:
            raise with_ways(cause, chain, size, matched, out) from None
    proofs, remarks = _verdicts(chain, stages)
    if steps is not None:
        remarks += _roundings(chain, steps)
    return Report(chain, stages, size, steps, tuple(proofs), tuple(remarks))


def _roundings(chain: Chain, steps: Ladder) -> list[str]:
    """Return where the exact fraction of a resize and torch's float part."""
    found: dict[str, None] = {}
    for rung, layer in zip(steps.rungs, chain.layers, strict=False):
        for axis, size in zip(layer.axes, split(rung.size), strict=True):
            if isinstance(axis, ScaleAxis) and axis.rounding(size):
                found[f"'{layer}' at {size}: {axis.rounding(size)}."] = None
    return list(found)


def _exact(layers: Sequence[Layer]) -> bool:
    return not any(isinstance(layer, Resize) and not layer.exact for layer in layers)


def _field(layers: Sequence[Layer]) -> ReceptiveField | tuple[ReceptiveField, ReceptiveField] | None:
    try:
        return receptive_field(layers)
    except ShapeError:
        return None


def _verdicts(chain: Chain, stages: Course) -> tuple[list[tuple[str, Proof]], list[str]]:
    try:
        if not all(axis.laws for axis in chain.axes) or not stages.down:
            return [], []
        if not stages.up and any(isinstance(layer, Resize) for layer in chain.layers):
            last = [layer for layer in chain.layers if isinstance(layer, Resize)][-1]
            return [], [
                f"No verdict for all sizes: inverse takes a Conv or a Pool, and no way back is given for a resize.\n"
                f'  try: segup shapes "{chain}, resize x{figure(_factor_back(last))}"'
            ]
        return (_of_the_way_back(stages) if stages.up else _of_the_inverse(stages)), []
    except ShapeError as cause:
        return [], [f"No verdict for all sizes: {cause}"]


def _factor_back(layer: Resize) -> Any:
    high, wide = (1 / Fraction(axis.factor) for axis in layer.axes)
    return high if high == wide else (high, wide)


def _of_the_way_back(stages: Course) -> list[tuple[str, Proof]]:
    down, up = stages.down, stages.up
    written = prove_inversion(down, up)
    if written.always:
        return [("as written", written)]
    proofs = [("as written", written)]
    ends = prove_inversion(down, up, ends_only=True)
    if ends.axes != written.axes:
        proofs.append(("as written, the ends alone", ends))
    if any(axis.slack for stage in up for layer in stage for axis in layer.axes):
        proofs.append((GIVEN, prove_inversion(down, up, matched=True)))
    if not proofs[-1][1].always and all(_has_inverse(layer) for stage in down for layer in stage):
        proofs.append(_matched_inverse(stages))
    return proofs


def _of_the_inverse(stages: Course) -> list[tuple[str, Proof]]:
    proofs = [("the inverse layers", prove_inversion(stages.down, _inverses(stages)))]
    return proofs if proofs[0][1].always else [*proofs, _matched_inverse(stages)]


def _matched_inverse(stages: Course) -> tuple[str, Proof]:
    up = _inverses(stages)
    words = ", ".join(str(layer) for stage in up for layer in stage)
    return f"the inverse layers, {GIVEN}: {words}", prove_inversion(stages.down, up, matched=True)


def _inverses(stages: Course) -> list[list[ConvTranspose]]:
    return [[inverse(layer) for layer in reversed(stage)] for stage in reversed(stages.down)]


def _has_inverse(layer: Layer) -> bool:
    return isinstance(layer, Conv | Pool) and all(axis.before == axis.after for axis in layer.axes)


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


def _spans(reachable: range | tuple[range, range]) -> str:
    ranges = reachable if isinstance(reachable, tuple) else (reachable,)
    return " × ".join(span(sizes) for sizes in ranges)


def shown(value: Any) -> str:
    """Return a size, a pair of them, or nothing for None."""
    if value is None:
        return ""
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
