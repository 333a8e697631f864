"""The convolution view, and pooling's: a window moves over the padded input; what no window reads is marked."""

from collections.abc import Iterator

import numpy as np

from segup.explain.drawing.palette import PADDING, READ, VALUE
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, plain
from segup.explain.views.common import (
    Built,
    Place,
    entry_lines,
    grid,
    numbers_grid,
    quiet,
    result_grid,
)
from segup.explain.views.lanes import ByChannel, Lane
from segup.explain.windows import ConvOperation, PoolOperation, WindowOperation


class Windows(ByChannel[WindowOperation]):
    """Builds the steps of the view for one output channel."""

    def __init__(self, operation: WindowOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        self.padded = operation.padded(-np.inf if operation.rule == "max" else 0)
        self.unread = tuple(set(lines) for lines in operation.unread())
        self.partials = {lane: self._partial(lane) for lane in self.lanes}

    def _partial(self, lane: Lane) -> Array:
        operation = self.operation
        if not isinstance(operation, ConvOperation):
            pooled: Array = operation.compute(operation.ways[0])[self.channel]
            return pooled
        y = np.zeros(operation.shape[1:], dtype=operation.x.dtype)
        for channel in lane.channels:
            weight = operation.weight[self.channel, channel - self.inputs.start]
            for i in range(weight.shape[0]):
                for j in range(weight.shape[1]):
                    y = y + weight[i, j] * operation.window(self.padded[[channel]], i, j)[0]
        return y

    def input_grid(self, channel: int, at: Place | None) -> Grid:
        """Return the padded input, the window of ``at`` and what no window reads marked."""
        operation = self.operation
        high, wide = operation.layer.axes
        values = self.padded[channel]
        rows, columns = operation.sources(0), operation.sources(1)
        taps: list[Place] = []
        frames = []
        if at is not None:
            top, left = at[0] * high.stride, at[1] * wide.stride
            frames = [Frame(top, left, high.extent, wide.extent)]
            taps = [
                (top + high.dilation * i, left + wide.dilation * j)
                for i in range(high.kernel_size)
                for j in range(wide.kernel_size)
            ]
        read = set(taps)

        def painted(row: int, column: int) -> Cell:
            n, m = row - high.before, column - wide.before
            size = operation.x.shape[1:]
            inside = 0 <= n < size[0] and 0 <= m < size[1]
            text = "" if np.isinf(float(values[row, column])) else plain(values[row, column])
            if n >= size[0] + high.after or m >= size[1] + wide.after:  # where a last window of ceil_mode overhangs
                return Cell()
            if not inside:
                empty = rows[row] is None or columns[column] is None
                return quiet(text, READ if (row, column) in read else PADDING) if empty else Cell(text, ((PADDING,),))
            if n in self.unread[0] or m in self.unread[1]:
                return Cell(text, hatched=True)
            return Cell(text, ((READ if (row, column) in read else VALUE,),))

        title = self.x(channel)
        if operation.is_padded:
            title += ", padded"
        return grid(title, values.shape, painted, (-high.before, -wide.before), frames)

    def step(self, caption: tuple[str, ...], done: int, at: Place | None) -> Step:
        """Return one moment, the outputs up to number ``done`` made."""
        operation = self.operation
        rows: list[tuple[Block, ...]] = []
        for lane in self.lanes:
            if not lane.single:
                part = result_grid("their contribution", self.partials[lane], done, at, name="")
                rows.append((Sign(f"{lane.name} together"), Sign("→"), part))
                continue
            (channel,) = lane.channels
            blocks: list[Block] = [self.input_grid(channel, at)]
            if isinstance(operation, ConvOperation):
                inner = channel - self.inputs.start
                blocks += [
                    Sign("∗"),
                    numbers_grid(self.w(self.channel, inner), operation.weight[self.channel, inner]),
                ]
            made = self.y if self.alone else f"contribution of {lane.name}"
            values = self.part(self.partials[lane])
            blocks += [Sign("→"), result_grid(made, values, done, at, name="y" if self.alone else "")]
            rows.append(tuple(blocks))
        if not self.alone:
            total = result_grid(self.y, self.total(self.partials), done, at)
            rows.append((Sign("the sum of the channels"), Sign("→"), total))
        return Step(tuple(rows), caption)


def windows(operation: WindowOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = Windows(operation, channel, most)
    _, height, width = operation.shape

    def steps() -> Iterator[Step]:
        for number in range(height * width):
            place = divmod(number, width)
            yield built.step(entry_lines(operation.entry(channel, *place), most), number, place)

    still = built.step(entry_lines(operation.entry(channel, *at), most), height * width, at)
    legend = [(Cell(name="window"), "the window of the entry"), (Cell(fills=((READ,),)), "what it reads")]
    if operation.is_padded:
        largest = isinstance(operation, PoolOperation) and operation.mode == "max"
        padding = "padding, which is never the largest" if largest else "padding"
        legend.append((Cell(fills=((PADDING,),)), padding))
    if operation.overhang(0) or operation.overhang(1):
        legend.append((Cell(), "nothing: a window reaches beyond"))
    if any(built.unread):
        legend.append((Cell(hatched=True), "read by no window"))
    return Built(height * width, steps, still, [*legend, (Cell(framed=True), "the entry")])
