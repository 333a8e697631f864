"""The convolution view, and pooling's: a window moves over the padded input; what no window reads is marked."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from segup.explain.drawing.palette import PADDING, READ, VALUE
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, plain
from segup.explain.views.channels import ByChannel
from segup.explain.views.common import Built, Place, grid, numbers_grid, quiet, window
from segup.explain.windows import ConvOperation, PoolOperation, WindowOperation


class WindowView(ByChannel):
    """Builds the steps of the view for one output channel."""

    operation: WindowOperation

    @cached_property
    def padded(self) -> Array:
        """The image with its padding, which is never the largest."""
        return self.operation.padded(-np.inf if self.operation.rule == "max" else 0)

    @cached_property
    def unread(self) -> tuple[list[int], list[int]]:
        """The rows and the columns that no window reads."""
        return self.operation.unread()

    def input_grid(self, source: int, at: Place) -> Grid:
        """Return the padded input, the window of ``at`` and what no window reads marked."""
        operation, values = self.operation, self.padded[source]
        high, wide = operation.layer.axes
        size, rows, columns = operation.x.shape[1:], operation.sources(0), operation.sources(1)
        top, left = at[0] * high.stride, at[1] * wide.stride
        read = window(operation.layer.axes, top, left)

        def painted(row: int, column: int) -> Cell:
            n, m = row - high.before, column - wide.before
            text = "" if np.isinf(float(values[row, column])) else plain(values[row, column])
            if n >= size[0] + high.after or m >= size[1] + wide.after:  # where a last window of ceil_mode overhangs
                return Cell()
            if rows[row] is None or columns[column] is None:
                return quiet(text, READ if (row, column) in read else PADDING)
            if not (0 <= n < size[0] and 0 <= m < size[1]):
                return Cell(text, ((PADDING,),))
            if n in self.unread[0] or m in self.unread[1]:
                return Cell(text, hatched=True)
            return Cell(text, ((READ if (row, column) in read else VALUE,),))

        title = f"{self.x(source)}, padded" if operation.is_padded else self.x(source)
        frame = Frame(top, left, high.extent, wide.extent)
        return grid(title, values.shape, painted, (-high.before, -wide.before), [frame])

    def step(self, at: Place, done: int) -> Step:
        """Return one moment, the outputs up to number ``done`` made."""

        def given(source: int) -> list[tuple[Block, ...]]:
            x = self.input_grid(source, at)
            if not isinstance(self.operation, ConvOperation):
                return [(x,)]
            return [(x, Sign("∗"), numbers_grid(self.w(source), self.weight(source)))]

        return Step(tuple(self.rows(given, lambda group: self.result(group, done, at))), self.said(at))


def windows(operation: WindowOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = WindowView(operation, channel, most)
    _, height, width = operation.shape

    def steps() -> Iterator[Step]:
        for number, place in enumerate(np.ndindex(height, width)):
            yield built.step(place, number)

    legend = [(Cell(name="window"), "the window of the entry"), (Cell(fills=((READ,),)), "what it reads")]
    if operation.is_padded:
        largest = isinstance(operation, PoolOperation) and operation.mode == "max"
        padding = "padding, which is never the largest" if largest else "padding"
        legend.append((Cell(fills=((PADDING,),)), padding))
    if operation.overhang(0) or operation.overhang(1):
        legend.append((Cell(), "nothing: a window reaches beyond"))
    if any(built.unread):
        legend.append((Cell(hatched=True), "read by no window"))
    legend.append((Cell(framed=True), "the entry"))
    return Built(height * width, steps, built.step(at, height * width), legend)
