"""What one output of a chain sees: the receptive field, the total stride and the alignment."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from segup.shapes.chain import Chain, ChainAxis
from segup.shapes.law import period_through
from segup.shapes.layer import LawAxis, Layer


@dataclass(frozen=True)
class ReceptiveField:
    """How the outputs of a chain lie over its input, on one axis.

    Args:
        size: Input pixels from the first to the last that one output depends on; where a chain that enlarges gives
            its outputs different fields, the largest.
        stride: Total stride: input pixels from one output to the next, below 1 where the chain enlarges.
        centre: Alignment: the centre of the first output in input pixels, where input 0 has its centre at 0.
    """

    size: int
    stride: Fraction
    centre: Fraction


def receptive_field(layers: Layer | Sequence[Layer]) -> ReceptiveField | tuple[ReceptiveField, ReceptiveField]:
    """Return the receptive field of a layer or a chain, borders ignored; a (height, width) pair where the axes differ.

    Raises:
        ShapeError: A part is no layer, or a resize with a float factor, whose outputs lie differently at every size.

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
    spans = _spans_by_ends(links) if all(link.ordered for link in links) else _spans_by_taps(axis)
    return ReceptiveField(max(spans, default=0), axis.pitch, axis.centre)


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
