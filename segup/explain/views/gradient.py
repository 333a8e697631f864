"""The gradient view: the convolution that is undone, and the same connections walked backwards."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, READ, VALUE
from segup.explain.drawing.story import Block, Cell, Frame, Sign, Step
from segup.explain.numbers import Array, plain
from segup.explain.views.common import (
    Built,
    Place,
    entry_lines,
    grid,
    numbers_grid,
    result_grid,
)
from segup.explain.views.lanes import Lane, Stamped

Readers = tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]


class Gradient(Stamped):
    """Builds the steps of the view for one output channel."""

    def __init__(self, operation: DeconvOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        rows, columns = ([operation.reads(i, at) for at in range(operation.shape[i + 1])] for i in (0, 1))
        self.readers: Readers = (rows, columns)
        self.partials = {lane: self._partial(lane) for lane in self.lanes}

    def _partial(self, lane: Lane) -> Array:
        rows, columns = self.readers
        y = np.zeros(self.operation.shape[1:], dtype=self.operation.x.dtype)
        for channel in lane.channels:
            for row, above in enumerate(rows):
                for column, beside in enumerate(columns):
                    for n, i in above:
                        for m, j in beside:
                            weight = self.weight(channel)[i, j]
                            y[row, column] += self.operation.x[channel, n, m] * weight
        return y

    def forward(self, place: Place, at: Place | None = None) -> tuple[Block, ...]:
        """Return the convolution at one of its outputs: the window on the large map, and the output it makes.

        ``at``, an entry of the large map that is walked back to, stands out.
        """
        lane = self.lanes[0]
        (channel,) = lane.channels[:1]
        high, wide = self.operation.layer.axes
        top, left = high.stride * place[0] - high.padding, wide.stride * place[1] - wide.padding
        weights = {
            (top + high.dilation * i, left + wide.dilation * j): self.weight(channel)[i, j]
            for i in range(high.kernel_size)
            for j in range(wide.kernel_size)
        }
        _, height, width = self.operation.shape

        def painted(row: int, column: int) -> Cell:
            if (row, column) in weights:
                return Cell(plain(weights[row, column]), ((READ,),))
            return Cell()

        bottom, right = min(top + high.extent, height), min(left + wide.extent, width)
        frame = Frame(max(top, 0), max(left, 0), bottom - max(top, 0), right - max(left, 0))
        framed = [] if at is None else [at]
        large = grid(
            f"forwards: the large map is read with {self.w(channel, self.inner)}",
            (height, width),
            painted,
            (0, 0),
            [frame],
            framed,
        )
        size = self.operation.x.shape[1:]
        small = grid("into one output", (size[0], size[1]), _blank, framed=[place])
        return (large, Sign("→"), small)

    def backward(self, number: int, done: int) -> list[tuple[Block, ...]]:
        """Return the way back to large entry ``number``, those up to ``done`` written."""
        width = self.operation.shape[2]
        at = divmod(number, width)
        above, beside = (self.readers[0][at[0]], self.readers[1][at[1]]) if done >= 0 else ([], [])
        readers = {(n, m): (i, j) for n, i in above for m, j in beside}
        rows: list[tuple[Block, ...]] = []
        for lane in self.lanes:
            title = f"backwards: {self.y} is written" if self.alone else f"contribution of {lane.name}"
            large = result_grid(title, self.part(self.partials[lane]), done, at, name="y" if self.alone else "")
            if not lane.single:
                rows.append((large, Sign("←"), Sign(f"{lane.name} together")))
                continue
            (channel,) = lane.channels
            x = numbers_grid(f"from {self.x(channel)}", self.operation.x[channel], color=VALUE, framed=list(readers))
            rows.append((large, Sign("←"), x, Sign("·"), self._weights(channel, readers)))
        if not self.alone:
            rows.append((result_grid(self.y, self.total(self.partials), done, at), Sign("is the sum of the channels")))
        return rows

    def _weights(self, channel: int, readers: dict[Place, Place]) -> Block:
        """Return the weights of the connections, each where its window's value stands."""
        weight = self.weight(channel)

        def painted(row: int, column: int) -> Cell:
            tap = readers.get((row, column))
            return Cell() if tap is None else Cell(plain(weight[tap]), ((READ,),))

        size = self.operation.x.shape[1:]
        return grid("their weights", (size[0], size[1]), painted)


def gradient(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = Gradient(operation, channel, most)
    _, height, width = operation.shape
    small = operation.x.shape[1:]
    back = built.backward(0, -1)

    def steps() -> Iterator[Step]:
        for number in range(small[0] * small[1]):
            place = divmod(number, small[1])
            yield Step((built.forward(place), *back), (_forward_said(operation, place),))
        for number in range(height * width):
            place = divmod(number, width)
            caption = entry_lines(operation.entry(channel, *place), most)
            yield Step((built.forward(_first_reader(built, place), place), *built.backward(number, number)), caption)

    last = built.forward(_first_reader(built, at), at), *_all_written(built, at)
    caption = (
        _forward_said(operation, _first_reader(built, at)),
        *entry_lines(operation.entry(channel, *at), most),
    )
    still = Step(last, caption)
    legend = [
        (Cell(fills=((READ,),)), "what a window reads, with its weight"),
        (Cell(fills=((VALUE,),)), "a value"),
        (Cell(fills=((BLANK,),), framed=True), "the entry, and the windows that read it"),
    ]
    return Built(small[0] * small[1] + height * width, steps, still, legend)


def _all_written(built: Gradient, at: Place) -> list[tuple[Block, ...]]:
    _, height, width = built.operation.shape
    return built.backward(at[0] * width + at[1], height * width)


def _blank(_row: int, _column: int) -> Cell:
    return Cell()


def _first_reader(built: Gradient, at: Place) -> Place:
    rows, columns = built.readers[0][at[0]], built.readers[1][at[1]]
    return (min(rows)[0] if rows else 0, min(columns)[0] if columns else 0)


def _forward_said(operation: DeconvOperation, place: Place) -> str:
    forward = str(operation.layer).replace("deconv", "conv", 1).partition(" op")[0]
    high, wide = operation.layer.axes
    top, left = high.stride * place[0] - high.padding, wide.stride * place[1] - wide.padding
    return (
        f"Forwards, '{forward}': output [{place[0]},{place[1]}] reads rows {top} … {top + high.extent - 1} and columns "
        f"{left} … {left + wide.extent - 1}."
    )
