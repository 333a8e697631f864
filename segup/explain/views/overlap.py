"""The overlap view: how many inputs go into each output, and the nearest kernel with which they are as many."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import shade
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Step
from segup.explain.numbers import Array
from segup.explain.operation import Operation
from segup.explain.steps import steps as told
from segup.explain.views.common import Built, Place, grid, named
from segup.shapes import ConvTranspose
from segup.shapes.arguments import split


def overlap(operation: Operation, at: Place) -> Built:
    """Return how its steps are made, the still and the legend."""
    counts = operation.counts()
    words = tuple(told(operation, "overlap"))
    entry = f"{named('y', *at)} gets {counts[at]}."
    if not isinstance(operation, DeconvOperation):
        most = int(counts.max())

        def steps() -> Iterator[Step]:
            for row in range(counts.shape[0]):
                said = f"Outputs of row {row} read {' '.join(map(str, counts[row]))}."
                yield Step(((_map("inputs of each output", counts, most, row),),), (said,))

        still = Step(((_map("inputs of each output", counts, most, at=at),),), (*words, entry))
        return Built(counts.shape[0], steps, still, _legend(most))
    even = _even(operation)
    most = max(int(counts.max()), 0 if even is None else int(even[1].max()))
    maps: list[Block] = [_map(f"contributions, {operation.words}", counts, most, at=at)]
    if even is not None:
        maps.append(_map(f"contributions, {even[0]}", even[1], most))
    number = operation.x.shape[1] * operation.x.shape[2]
    still = Step((tuple(maps),), (*words, entry))
    return Built(number, lambda: _stamping(operation, most), still, _legend(most))


def _map(title: str, counts: Array, most: int, until: int | None = None, at: Place | None = None) -> Grid:
    def painted(row: int, column: int) -> Cell:
        if until is not None and row > until:
            return Cell()
        count = int(counts[row, column])
        return Cell(str(count), ((shade(count, most),),), name=named("count", row, column))

    return grid(title, counts.shape, painted, framed=[] if at is None else [at])


def _stamping(operation: DeconvOperation, most: int) -> Iterator[Step]:
    """Yield the map after each stamp."""
    high, wide = operation.layer.axes
    _, height, width = operation.shape
    counts = np.zeros(operation.canvas, dtype=int)
    for row in range(operation.x.shape[1]):
        for column in range(operation.x.shape[2]):
            top, left = high.stride * row, wide.stride * column
            counts[top : top + high.extent : high.dilation, left : left + wide.extent : wide.dilation] += 1
            kept = counts[high.padding :, wide.padding :][:height, :width].copy()
            shape = _map(f"contributions, {operation.words}", kept, most)
            frame = _clipped(top - high.padding, left - wide.padding, high.extent, wide.extent, height, width)
            framed = Grid(shape.title, shape.cells, shape.first, frame)
            yield Step(((framed,),), (f"x[{row},{column}] adds 1 wherever its stamp falls.",))


def _clipped(top: int, left: int, high: int, wide: int, height: int, width: int) -> tuple[Frame, ...]:
    first, side = max(top, 0), max(left, 0)
    rows, columns = min(top + high, height) - first, min(left + wide, width) - side
    return (Frame(first, side, rows, columns),) if rows > 0 and columns > 0 else ()


def _even(operation: DeconvOperation) -> tuple[str, Array] | None:
    """Return the nearest kernel that the stride divides, and its counts, where this one is uneven."""
    kernels, strides = split(operation.layer.kernel_size), split(operation.layer.stride)
    if operation.layer.dilation != 1 or all(k % s == 0 for k, s in zip(kernels, strides, strict=True)):
        return None
    high, wide = (-(-k // s) * s for k, s in zip(kernels, strides, strict=True))
    layer = ConvTranspose((high, wide), operation.layer.stride, operation.layer.padding)
    other = DeconvOperation(layer, operation.x[:1], np.ones((1, 1, high, wide)))
    return str(layer), other.counts()


def _legend(most: int) -> list[tuple[Cell, str]]:
    counts = sorted({1, max(1, most // 2), most})
    return [(Cell(fills=((shade(count, most),),)), f"{count}") for count in counts]
