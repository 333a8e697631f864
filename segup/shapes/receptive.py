"""What one output of a chain sees: the receptive field, the total stride and the alignment."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from segup.errors import ShapeError
from segup.shapes.chain import Chain, ChainAxis
from segup.shapes.law import period_through
from segup.shapes.layer import LawAxis, Layer

MOST_READS = 2**16
"""Kinds of outputs of one layer times taps of the largest kernel; a network has some hundreds."""


@dataclass(frozen=True)
class ReceptiveField:
    """How the outputs of a chain lie over its input, on one axis.

    Args:
        size: Input pixels from the first to the last that one output depends on; where a chain that enlarges gives
            its outputs different fields, the largest.
        stride: Total stride: input pixels from one output to the next, below 1 where the chain enlarges.
        centre: Alignment: the centre of the first output in input pixels, where input 0 has its centre at 0. Output o
            has its own at centre + o·stride; where the outputs of a period lie unevenly, as those of a nearest resize
            by 3/2, that is so on average over them. Taps of a kernel count alike, those of a resize by their weights.
    """

    size: int
    stride: Fraction
    centre: Fraction


def receptive_field(layers: Layer | Sequence[Layer]) -> ReceptiveField | tuple[ReceptiveField, ReceptiveField]:
    """Return the receptive field of a layer or a chain, borders ignored; a (height, width) pair where the axes differ.

    Raises:
        ShapeError: A part is no layer, a resize with a float factor, whose outputs lie differently at every size, or so
            large that its pixels cannot be gone through.

    >>> from segup.shapes import parse
    >>> receptive_field(parse("conv k7 s2 p3, pool k3 s2 p1"))
    ReceptiveField(size=11, stride=Fraction(4, 1), centre=Fraction(0, 1))
    >>> receptive_field(parse("conv k2 s2")).centre, receptive_field(parse("deconv k4 s2 p1")).centre
    (Fraction(1, 2), Fraction(-1, 4))
    """
    height, width = (_field(axis) for axis in Chain([layers] if isinstance(layers, Layer) else layers).axes)
    return height if height == width else (height, width)


def _field(axis: ChainAxis) -> ReceptiveField:
    links = [link for _, link in axis.links]
    _check_amount(links)
    spans = _spans_by_ends(links) if all(link.ordered for link in links) else _spans_by_taps(axis)
    return ReceptiveField(max(spans, default=0), axis.pitch, _centre(links))


def _check_amount(links: Sequence[LawAxis]) -> None:
    phases = max((link.law.rise for link in links), default=1)
    taps = max((getattr(link, "kernel_size", 1) for link in links), default=1)
    if phases * taps > MOST_READS:
        raise ShapeError(
            f"a receptive field is followed through {MOST_READS} pixels that are read, and these layers read more: "
            f"{phases} kinds of outputs with a kernel of {taps}."
        )


def _spans_by_taps(axis: ChainAxis) -> list[int]:
    """Return the span of every output of one period, from all that it reads."""
    _, rise = period_through(axis.laws)
    return [taps[-1] - taps[0] + 1 for taps in map(axis.taps, range(rise)) if taps]


def _spans_by_ends(links: Sequence[LawAxis]) -> set[int]:
    """Return the spans of all outputs, followed back to the input by their ends alone.

    On the way back the outputs differ by their span, and by which ends they have: step·q + first for every q.
    """
    ends = {(1, 1, 0)}
    for link in reversed(links):
        found = set()
        for span, step, first in ends:
            cycle = link.law.rise // gcd(step, link.law.rise)
            following = step * cycle * link.law.run // link.law.rise
            for low in range(first, first + step * cycle, step):
                lowest, highest = min(link.taps(low)), max(link.taps(low + span - 1))
                found.add((highest - lowest + 1, following, lowest % following))
        ends = found
    return {span for span, _, _ in ends}


def _centre(links: Sequence[LawAxis]) -> Fraction:
    """Return how far what an output reads lies beyond output·pitch, on average over all outputs; 0 where none reads.

    Followed back to the input, the outputs are classes of indices, step·q + first for every q, each with its weight and
    its share of the sum. A class is kept modulo what the layers before can tell apart: of convolutions alone, one.
    """
    classes = {(1, 0): (Fraction(1), Fraction(0))}
    for place in range(len(links) - 1, -1, -1):
        link, found = links[place], dict[tuple[int, int], tuple[Fraction, Fraction]]()
        _, apart = period_through(tuple(before.law for before in links[:place]))
        for (step, first), (weight, moment) in classes.items():
            cycle = link.law.rise // gcd(step, link.law.rise)
            following = gcd(step * cycle * link.law.run // link.law.rise, apart)
            for index in range(first, first + step * cycle, step):
                for tap, share in link.reads(index):
                    part = Fraction(share) / cycle
                    key = (following, tap % following)
                    before, so_far = found.get(key, (Fraction(0), Fraction(0)))
                    moved = weight * (tap - link.pitch * index) + link.pitch * moment
                    found[key] = (before + weight * part, so_far + moved * part)
        classes = found
    total = sum(weight for weight, _ in classes.values())
    return sum((moment for _, moment in classes.values()), start=Fraction(0)) / total if total else Fraction(0)
