"""The overlap view: how many inputs go into each output, and the nearest kernel with which they are as many."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import shade
from segup.explain.drawing.story import Cell, Frame, Grid, Step
from segup.explain.numbers import Array
from segup.explain.operation import Operation
from segup.explain.steps import steps as told
from segup.explain.views.common import Built, Place, clipped, grid, named
from segup.shapes import ConvTranspose
from segup.shapes.arguments import split


def overlap(operation: Operation, _channel: int, at: Place, _most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    counts, title = operation.counts(), "inputs of each output"
    others = []
    if isinstance(operation, DeconvOperation):
        title, others = f"contributions, {operation.words}", _even(operation)
    most = max(int(one.max()) for one in (counts, *(other for _, other in others)))
    maps = (_map(title, counts, most, at=at), *(_map(name, other, most) for name, other in others))

    def steps() -> Iterator[Step]:
        if isinstance(operation, DeconvOperation):
            yield from _stamping(operation, title, most)
            return
        for row in range(counts.shape[0]):
            said = f"Outputs of row {row} read {' '.join(map(str, counts[row]))}."
            yield Step(((_map(title, counts, most, row),),), (said,))

    number = operation.x.shape[1] * operation.x.shape[2] if isinstance(operation, DeconvOperation) else len(counts)
    still = Step((maps,), (*told(operation, "overlap"), f"{named('y', *at)} gets {counts[at]}."))
    legend = [(Cell(fills=((shade(count, most),),)), f"{count}") for count in sorted({1, max(1, most // 2), most})]
    if isinstance(operation, DeconvOperation):
        legend.append((Cell(name="window"), "the stamp that is added"))
    legend.append((Cell(framed=True), "the entry"))
    return Built(number, steps, still, legend)


def _map(
    title: str, counts: Array, most: int, until: int | None = None, at: Place | None = None, frame: Frame | None = None
) -> Grid:
    def painted(row: int, column: int) -> Cell:
        if until is not None and row > until:
            return Cell()
        count = int(counts[row, column])
        return Cell(str(count), ((shade(count, most),),), name=named("count", row, column))

    frames = [frame] if frame and frame.height > 0 and frame.width > 0 else []
    return grid(title, counts.shape, painted, frames=frames, framed=[at])


def _stamping(operation: DeconvOperation, title: str, most: int) -> Iterator[Step]:
    """Yield the map after each stamp."""
    high, wide = operation.layer.axes
    _, height, width = operation.shape
    counts = np.zeros(operation.canvas, dtype=int)
    for row, column in np.ndindex(operation.x.shape[1:]):
        top, left = high.stride * row, wide.stride * column
        counts[top : top + high.extent : high.dilation, left : left + wide.extent : wide.dilation] += 1
        kept = counts[high.padding :, wide.padding :][:height, :width].copy()
        frame = clipped(top - high.padding, left - wide.padding, operation.layer.axes, (height, width))
        said = f"x[{row},{column}] adds 1 wherever its stamp falls."
        yield Step(((_map(title, kept, most, frame=frame),),), (said,))


def _even(operation: DeconvOperation) -> list[tuple[str, Array]]:
    """Return the nearest kernel that the stride divides, and its counts, where this one is uneven."""
    kernels, strides = split(operation.layer.kernel_size), split(operation.layer.stride)
    if operation.layer.dilation != 1 or all(k % s == 0 for k, s in zip(kernels, strides, strict=True)):
        return []
    high, wide = (-(-k // s) * s for k, s in zip(kernels, strides, strict=True))
    layer = ConvTranspose((high, wide), operation.layer.stride, operation.layer.padding)
    other = DeconvOperation(layer, operation.x[:1], np.ones((1, 1, high, wide)))
    return [(f"contributions, {layer}", other.counts())]
