"""The scatter view: every input stamps value × kernel; overlaps add; the padding cuts the border off."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, own_colors
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, Number, plain, written
from segup.explain.views.common import (
    Built,
    Place,
    entry_lines,
    grid,
    named,
    numbers_grid,
)
from segup.explain.views.lanes import Lane, Stamped


class Scatter(Stamped):
    """Builds the steps of the scatter view for one output channel."""

    def __init__(self, operation: DeconvOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        _, self.height, self.width = operation.x.shape
        high, wide = operation.layer.axes
        overlap = (-(-high.extent // high.stride), -(-wide.extent // wide.stride))
        self.colors = own_colors(self.height, self.width, overlap)
        self.cut = Frame(high.padding, wide.padding, operation.shape[1], operation.shape[2], "cut")

    def canvases(self, lane: Lane) -> Iterator[Array]:
        """Yield the canvas of a lane after 0, 1, 2, … stamps."""
        values = np.zeros(self.operation.canvas, dtype=self.operation.x.dtype)
        yield values
        for number in range(self.height * self.width):
            row, column = divmod(number, self.width)
            values = values.copy()
            for channel in lane.channels:
                values[self._reach(row, column)] += self._stamp(channel, row, column)
            yield values

    def _stamp(self, channel: int, row: int, column: int) -> Array:
        stamp: Array = self.operation.x[channel, row, column] * self.weight(channel)
        return stamp

    def _reach(self, row: int, column: int) -> tuple[slice, slice]:
        high, wide = self.operation.layer.axes
        top, left = high.stride * row, wide.stride * column
        return slice(top, top + high.extent, high.dilation), slice(left, left + wide.extent, wide.dilation)

    def step(
        self,
        states: dict[Lane, Array],
        done: int,
        caption: tuple[str, ...],
        *,
        current: Place | None = None,
        at: Place | None = None,
        cut: bool = False,
    ) -> Step:
        """Return one moment.

        Args:
            states: The canvas of each lane now.
            done: How many inputs have stamped.
            caption: What happens.
            current: The input that stamps now.
            at: The entry that is pointed out.
            cut: Whether the border has been cut off, and the bias added.
        """
        rows: list[tuple[Block, ...]] = []
        rows_, columns_ = ([], []) if at is None else (self.operation.reads(0, at[0]), self.operation.reads(1, at[1]))
        sources = [(n, m) for n, _ in rows_ for m, _ in columns_]
        taps = [(i, j) for _, i in rows_ for _, j in columns_]
        for lane in self.lanes:
            blocks: list[Block] = []
            if lane.single:
                blocks += self._given(lane, [current] if current else sources, taps)
            else:
                blocks.append(Sign(f"{lane.name} together"))
            title = self._canvas_title(cut) if self.alone else f"stamps of {lane.name}"
            blocks += [
                Sign("→"),
                self._canvas_grid(title, states[lane], done, current, at, cut and self.alone, self.alone),
            ]
            rows.append(tuple(blocks))
        if not self.alone:
            total: Array = sum(states.values())  # type: ignore[assignment]
            rows.append(
                (
                    Sign("the sum of the channels"),
                    Sign("→"),
                    self._canvas_grid(self._canvas_title(cut), total, done, current, at, cut, True),
                )
            )
        return Step(tuple(rows), caption)

    def _canvas_title(self, cut: bool) -> str:
        return f"{self.y}, inside the dashed line" if cut else "the canvas: stamps added"

    def _given(self, lane: Lane, sources: list[Place], taps: list[Place]) -> list[Block]:
        (channel,) = lane.channels
        x = numbers_grid(self.x(channel), self.operation.x[channel], colors=self.colors, framed=sources)
        w = numbers_grid(self.w(channel, self.inner), self.weight(channel), framed=taps)
        return [x, Sign("·"), w]

    def _canvas_grid(
        self, title: str, values: Array, done: int, current: Place | None, at: Place | None, cut: bool, final: bool
    ) -> Grid:
        high, wide = self.operation.layer.axes
        bias = self.operation.bias_of(self.channel)
        rows, columns = self.operation.stamped

        def painted(row: int, column: int) -> Cell:
            fills = self._fills(rows[row], columns[column], done)
            inside = self._inside(row, column)
            text: str | Number = plain(values[row, column])
            if cut and inside:
                text = plain(values[row, column] + bias)
            if not self._touched(rows[row], columns[column], done) and not (cut and inside):
                text = ""
            place = (row - high.padding, column - wide.padding)
            name = named("y", *place) if final and inside else ""
            hatched = cut and not inside
            return Cell(text, ((BLANK,),) if hatched else fills, name=name, hatched=hatched)

        frames = [self.cut] if final else []
        if current is not None:
            top, left = high.stride * current[0], wide.stride * current[1]
            frames.append(Frame(top, left, high.extent, wide.extent))
        framed = [] if at is None else [(at[0] + high.padding, at[1] + wide.padding)]
        first = (-high.padding, -wide.padding)
        return grid(title, self.operation.canvas, painted, first, frames, framed)

    def _inside(self, row: int, column: int) -> bool:
        cut = self.cut
        return cut.top <= row < cut.top + cut.height and cut.left <= column < cut.left + cut.width

    def _touched(self, rows: list[tuple[int, int]], columns: list[tuple[int, int]], done: int) -> bool:
        return any(n * self.width + m < done for n, _ in rows for m, _ in columns)

    def _fills(
        self, rows: list[tuple[int, int]], columns: list[tuple[int, int]], done: int
    ) -> tuple[tuple[str, ...], ...]:
        fills = tuple(
            tuple(self.colors[n][m] if n * self.width + m < done else BLANK for m, _ in sorted(columns))
            for n, _ in sorted(rows)
        )
        return fills if fills and fills[0] else ((BLANK,),)


def scatter(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = Scatter(operation, channel, most)
    number = operation.x.shape[1] * operation.x.shape[2]
    bias = operation.bias_of(channel)
    more = f"; the bias, {written(bias)}, is added" if bias else ""
    ending = f"The padding cuts what lies outside the dashed line{more}."

    def steps() -> Iterator[Step]:
        canvases = {lane: built.canvases(lane) for lane in built.lanes}
        now = {lane: next(states) for lane, states in canvases.items()}
        yield built.step(now, 0, ("Nothing is stamped yet. The dashed line is where the padding will cut.",))
        for done in range(1, number + 1):
            place = divmod(done - 1, operation.x.shape[2])
            now = {lane: next(states) for lane, states in canvases.items()}
            yield built.step(now, done, _said(operation, place), current=place)
        yield built.step(now, number, (ending,), cut=True)

    final = {lane: list(built.canvases(lane))[-1] for lane in built.lanes}
    still = built.step(final, number, entry_lines(operation.entry(channel, *at), most), at=at, cut=True)
    return Built(number + 2, steps, still, _legend(operation))


def _said(operation: DeconvOperation, place: Place) -> tuple[str, ...]:
    high, wide = operation.layer.axes
    top, left = high.stride * place[0] - high.padding, wide.stride * place[1] - wide.padding
    inputs = operation.x.shape[0] // operation.layer.groups
    source = named("x", *place)
    value = f" = {written(operation.x[0, place[0], place[1]])}" if operation.x.shape[0] == 1 else ""
    what = f"{source}{value} stamps {'its value' if inputs == 1 else 'its value in each channel'} × w"
    return (f"{what} on rows {top} … {top + high.extent - 1} and columns {left} … {left + wide.extent - 1}.",)


def _legend(operation: DeconvOperation) -> list[tuple[Cell, str]]:
    found = [
        (Cell(fills=((own_colors(1, 1, (1, 1))[0][0],),)), "each input has a colour of its own"),
        (Cell(framed=True), "what goes into the entry"),
        (Cell(name="cut"), "the output"),
    ]
    canvas, shape = operation.canvas, operation.shape[1:]
    if canvas != shape:
        found.append((Cell(hatched=True), "cut off by the padding"))
    return found
