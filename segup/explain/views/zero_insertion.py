"""The zero-insertion view: zeros between inputs, padding, the flipped kernel, and a slide with stride 1."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, PADDING, VALUE, ZERO
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, plain
from segup.explain.steps import steps as told
from segup.explain.views.common import (
    Built,
    Place,
    entry_lines,
    grid,
    numbers_grid,
    quiet,
    result_grid,
)
from segup.explain.views.lanes import Lane, Stamped


class ZeroInsertion(Stamped):
    """Builds the steps of the view for one output channel."""

    def __init__(self, operation: DeconvOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        self.spread, self.padded, self.flipped = operation.inserted(), operation.padded(), operation.flipped()
        self.given = self._given_places()

    def _given_places(self) -> tuple[set[int], set[int]]:
        """Return the rows and columns of the padded map that hold an input."""
        found = []
        for axis, size, (before, _) in zip(
            self.operation.layer.axes, self.operation.x.shape[1:], self.operation.pads, strict=True
        ):
            found.append({axis.stride * n + before for n in range(size)})
        return found[0], found[1]

    def spread_grid(self, channel: int) -> Grid:
        """Return the input with zeros between."""
        high, wide = self.operation.layer.axes
        values = self.spread[channel]

        def painted(row: int, column: int) -> Cell:
            real = row % high.stride == 0 and column % wide.stride == 0
            text = plain(values[row, column])
            return Cell(text, ((VALUE,),)) if real else quiet(text, ZERO)

        return grid("1  zeros inserted", values.shape, painted)

    def padded_grid(self, channel: int, at: Place | None) -> Grid:
        """Return the padded map, the window of ``at`` marked."""
        (top, _), (left, _) = self.operation.pads
        values = self.padded[channel]
        inside_rows = range(top, top + self.spread.shape[1])
        inside_columns = range(left, left + self.spread.shape[2])

        def painted(row: int, column: int) -> Cell:
            text = plain(values[row, column])
            if row in self.given[0] and column in self.given[1]:
                return Cell(text, ((VALUE,),))
            return quiet(text, ZERO if row in inside_rows and column in inside_columns else PADDING)

        frames, framed = self._window(at)
        return grid("2  padded", values.shape, painted, (-top, -left), frames, framed)

    def _window(self, at: Place | None) -> tuple[list[Frame], list[Place]]:
        if at is None:
            return [], []
        high, wide = self.operation.layer.axes
        taps = [
            (at[0] + high.dilation * i, at[1] + wide.dilation * j)
            for i in range(high.kernel_size)
            for j in range(wide.kernel_size)
        ]
        real = [(r, c) for r, c in taps if r in self.given[0] and c in self.given[1]]
        return [Frame(at[0], at[1], high.extent, wide.extent)], real

    def flipped_taps(self, at: Place | None) -> list[Place]:
        """Return the taps of the flipped kernel that meet an input in the window of ``at``."""
        if at is None:
            return []
        high, wide = self.operation.layer.axes
        return [
            (i, j)
            for i in range(high.kernel_size)
            for j in range(wide.kernel_size)
            if at[0] + high.dilation * i in self.given[0] and at[1] + wide.dilation * j in self.given[1]
        ]

    def partial(self, lane: Lane) -> Array:
        """Return a lane's contribution to the output channel."""
        _, height, width = self.operation.shape
        high, wide = self.operation.layer.axes
        y = np.zeros((height, width), dtype=self.operation.x.dtype)
        for channel in lane.channels:
            for i in range(high.kernel_size):
                for j in range(wide.kernel_size):
                    top, left = high.dilation * i, wide.dilation * j
                    window = self.padded[channel, top : top + height, left : left + width]
                    y = y + self.flipped[channel, self.inner, i, j] * window
        return y

    def step(
        self, caption: tuple[str, ...], partials: dict[Lane, Array], done: int, stage: int, at: Place | None
    ) -> Step:
        """Return one moment: up to ``stage`` of the four steps, and the slide up to entry number ``done``."""
        rows: list[tuple[Block, ...]] = []
        for lane in self.lanes:
            if not lane.single:
                partial = result_grid(f"their contribution to {self.y}", partials[lane], done, at, name="")
                rows.append((Sign(f"{lane.name} together"), Sign("→"), partial))
                continue
            (channel,) = lane.channels
            x = numbers_grid(self.x(channel), self.operation.x[channel], color=VALUE)
            w = numbers_grid(self.w(channel, self.inner), self.weight(channel))
            blocks: list[Block] = [x, Sign("→"), _until(self.spread_grid(channel), stage >= 1), w]
            below: list[Block] = [_until(self.padded_grid(channel, at), stage >= 2)]
            kernel = numbers_grid(
                f"3  {self.w(channel, self.inner)} flipped",
                self.flipped[channel, self.inner],
                framed=self.flipped_taps(at),
            )
            below += [Sign("∗"), _until(kernel, stage >= 3), Sign("→")]
            made = f"4  {self.y if self.alone else f'contribution of {lane.name}'}"
            below.append(result_grid(made, self.part(partials[lane]), done, at, name="y" if self.alone else ""))
            rows += [tuple(blocks), tuple(below)]
        if not self.alone:
            total = result_grid(self.y, self.total(partials), done, at)
            rows.append((Sign("the sum of the channels"), Sign("→"), total))
        return Step(tuple(rows), caption)


def _until(shape: Grid, reached: bool) -> Grid:
    """Return a grid, empty where its step has not come yet."""
    if reached:
        return shape
    return Grid(shape.title, tuple(tuple(Cell() for _ in row) for row in shape.cells), shape.first)


def zero_insertion(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = ZeroInsertion(operation, channel, most)
    partials = {lane: built.partial(lane) for lane in built.lanes}
    lines = told(operation, "zero_insertion")
    _, height, width = operation.shape

    def steps() -> Iterator[Step]:
        for stage in (1, 2, 3):
            yield built.step((f"{stage}. {lines[stage - 1]}",), partials, -1, stage, None)
        for number in range(height * width):
            place = divmod(number, width)
            yield built.step(entry_lines(operation.entry(channel, *place), most), partials, number, 4, place)

    still = built.step(entry_lines(operation.entry(channel, *at), most), partials, height * width, 4, at)
    legend = [
        (Cell(fills=((VALUE,),)), "a value"),
        (Cell(fills=((ZERO,),)), "a zero put between inputs"),
        (Cell(fills=((PADDING,),)), "a zero of the padding"),
        (Cell(name="window"), "the window of the entry"),
        (Cell(fills=((BLANK,),), framed=True), "what goes into it"),
    ]
    return Built(3 + height * width, steps, still, legend)
