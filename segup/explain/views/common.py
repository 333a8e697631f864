"""What the views share: how a number, a grid and an entry are shown, and which channels are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segup.explain.drawing.palette import BLANK, QUIET, READ
from segup.explain.drawing.story import Cell, Frame, Grid, Step
from segup.explain.numbers import Array, Number, factor, plain, written
from segup.explain.operation import Entry, Operation

MOST_TERMS = 12
Place = tuple[int, int]
Painted = Callable[[int, int], Cell]


@dataclass(frozen=True)
class Built:
    """What a view makes: the number of its steps and how they are made, the still, and the legend."""

    count: int
    steps: Callable[[], Iterator[Step]]
    still: Step
    legend: Sequence[tuple[Cell, str]]


def named(name: str, *place: int, short: bool = True) -> str:
    """Return a number's name, such as ``y[0,1]``."""
    return f"{name}[{','.join(map(str, place[-2:] if short else place))}]"


def grid(
    title: str,
    size: Place,
    painted: Painted,
    first: Place = (0, 0),
    frames: Sequence[Frame] = (),
    framed: Sequence[Place | None] = (),
) -> Grid:
    """Return a grid, cell by cell; those of ``framed`` stand out (None is no cell)."""
    marked = set(framed)
    cells = tuple(
        tuple(
            replace(painted(row, column), framed=True) if (row, column) in marked else painted(row, column)
            for column in range(size[1])
        )
        for row in range(size[0])
    )
    return Grid(title, cells, first, tuple(frames))


def numbers_grid(
    title: str,
    values: Array,
    name: str | None = None,
    color: str = BLANK,
    *,
    colors: Sequence[Sequence[str]] | None = None,
    framed: Sequence[Place | None] = (),
    shown: Callable[[int, int], bool] = lambda *_: True,
) -> Grid:
    """Return a table ``(rows, columns)`` as a grid in one color, or in ``colors``; cells not ``shown`` stay empty.

    A ``name`` is that of the numbers, before their places; "" for the places alone.
    """

    def painted(row: int, column: int) -> Cell:
        if not shown(row, column):
            return Cell()
        fill = color if colors is None else colors[row][column]
        return Cell(plain(values[row, column]), ((fill,),), name="" if name is None else named(name, row, column))

    return grid(title, values.shape, painted, framed=framed)


def sparse_grid(
    title: str,
    size: Place,
    numbers: Mapping[Place, Any],
    frames: Sequence[Frame] = (),
    framed: Sequence[Place | None] = (),
) -> Grid:
    """Return a grid that is empty but for the ``numbers`` that are read at some places."""

    def painted(row: int, column: int) -> Cell:
        return Cell(plain(numbers[row, column]), ((READ,),)) if (row, column) in numbers else Cell()

    return grid(title, size, painted, frames=frames, framed=framed)


def window(axes: Sequence[Any], top: int, left: int) -> dict[Place, Place]:
    """Return where the taps of a kernel at (top, left) stand, and which tap stands there."""
    high, wide = axes
    taps = np.ndindex(high.kernel_size, wide.kernel_size)
    return {(top + high.dilation * i, left + wide.dilation * j): (i, j) for i, j in taps}


def clipped(top: int, left: int, axes: Sequence[Any], size: Place) -> Frame:
    """Return the frame of a kernel at (top, left), as much of it as lies within ``size``."""
    high, wide = axes
    first, side = max(top, 0), max(left, 0)
    return Frame(first, side, min(top + high.extent, size[0]) - first, min(left + wide.extent, size[1]) - side)


def quiet(text: str | Number, fill: str) -> Cell:
    """Return a number that was put there, not given."""
    return Cell(text, ((fill,),), QUIET)


def entry_lines(entry: Entry, most: int = 1) -> tuple[str, ...]:
    """Return what a caption says of an entry: its equation, or the contributions of ``most`` channels and the sum."""
    parts = entry.by_channel()
    if entry.rule != "sum" or len(parts) < 2:
        return (entry.equation(MOST_TERMS),)
    sums = {channel: sum((term.product for term in terms), start=0) for channel, terms in parts.items()}
    lines = []
    for channel, terms in list(parts.items())[:most]:
        figures = [entry.figures(term) for term in terms[:MOST_TERMS]]
        more = [f"… ({len(terms)} terms)"] if len(terms) > MOST_TERMS else []
        lines.append(f"channel {channel}: {' + '.join([*figures, *more])} = {written(sums[channel])}")
    rest = list(sums)[most:]
    if rest:
        names = f"channels {rest[0]} … {rest[-1]}" if len(rest) > 1 else f"channel {rest[0]}"
        lines.append(f"{names}: {written(sum((sums[c] for c in rest), start=0))}")
    total = [factor(sums[channel]) for channel in list(sums)[:most]]
    more = [factor(sum((sums[c] for c in rest), start=0))] if rest else []
    bias = [f"bias {factor(entry.bias)}"] if entry.bias else []
    return (*lines, f"{entry.name} is their sum: {' + '.join([*total, *more, *bias])} = {written(entry.value)}")


def busiest(operation: Operation) -> Place:
    """Return the first output entry into which the most inputs go, the first row and column left out where possible."""
    counts = operation.counts()
    rows, columns = np.nonzero(counts == counts.max())
    return int(rows[0]), int(columns[0])
