"""The scatter view: every input stamps value × kernel; overlaps add; the padding cuts the border off."""

from collections.abc import Iterator, Mapping

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, own_colors
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, Number, plain, written
from segup.explain.views.channels import ByChannel, ChannelGroup
from segup.explain.views.common import Built, Place, grid, named, numbers_grid


class Scatter(ByChannel):
    """Builds the steps of the scatter view for one output channel."""

    operation: DeconvOperation

    def __init__(self, operation: DeconvOperation, channel: int, most: int) -> None:
        super().__init__(operation, channel, most)
        _, self.height, self.width = operation.x.shape
        high, wide = operation.layer.axes
        overlap = (-(-high.extent // high.stride), -(-wide.extent // wide.stride))
        self.colors = own_colors(self.height, self.width, overlap)
        self.first = (-high.padding, -wide.padding)
        self.cut = Frame(high.padding, wide.padding, operation.shape[1], operation.shape[2], "cut")

    def stamp(self, place: Place) -> Frame:
        """Return where the stamp of one input falls on the canvas."""
        high, wide = self.operation.layer.axes
        return Frame(high.stride * place[0], wide.stride * place[1], high.extent, wide.extent)

    def canvases(self, group: ChannelGroup) -> Iterator[Array]:
        """Yield the canvas of a group after 0, 1, 2, … stamps."""
        high, wide = self.operation.layer.axes
        values = np.zeros(self.operation.canvas, dtype=self.operation.x.dtype)
        yield values
        for row, column in np.ndindex(self.height, self.width):
            values, stamp = values.copy(), self.stamp((row, column))
            rows = slice(stamp.top, stamp.top + stamp.height, high.dilation)
            columns = slice(stamp.left, stamp.left + stamp.width, wide.dilation)
            for source in group.channels:
                values[rows, columns] += self.operation.x[source, row, column] * self.weight(source)
            yield values

    def step(
        self,
        states: Mapping[ChannelGroup, Array],
        done: int,
        caption: tuple[str, ...],
        *,
        current: Place | None = None,
        at: Place | None = None,
        cut: bool = False,
    ) -> Step:
        """Return one moment.

        Args:
            states: The canvas of each group now.
            done: How many inputs have stamped.
            caption: What happens.
            current: The input that stamps now.
            at: The entry that is pointed out.
            cut: Whether the border has been cut off, and the bias added.
        """
        above, beside = (self.operation.reads(i, at[i]) if at else [] for i in (0, 1))
        sources = [current] if current else [(n, m) for n, _ in above for m, _ in beside]

        def given(source: int) -> list[tuple[Block, ...]]:
            x = numbers_grid(self.x(source), self.operation.x[source], colors=self.colors, framed=sources)
            taps = [(i, j) for _, i in above for _, j in beside]
            return [(x, Sign("·"), numbers_grid(self.w(source), self.weight(source), framed=taps))]

        def made(group: ChannelGroup | None) -> Grid:
            if group is None or self.alone:
                title = f"{self.y}, inside the dashed line" if cut else "the canvas: stamps added"
                total: Array = sum(states.values())  # type: ignore[assignment]
                return self._canvas_grid(title, total, done, current, at, cut, [self.cut])
            return self._canvas_grid(f"stamps of {group.name}", states[group], done, current, at, False, [])

        return Step(tuple(self.rows(given, made)), caption)

    def _canvas_grid(
        self,
        title: str,
        values: Array,
        done: int,
        current: Place | None,
        at: Place | None,
        cut: bool,
        frames: list[Frame],
    ) -> Grid:
        """Return a canvas; with the frame of the ``cut`` it is that of the output."""
        bias, (rows, columns) = self.operation.bias_of(self.channel), self.operation.stamped

        def painted(row: int, column: int) -> Cell:
            place = (row + self.first[0], column + self.first[1])
            inside = 0 <= place[0] < self.cut.height and 0 <= place[1] < self.cut.width
            name, hatched = named("y", *place) if frames and inside else "", cut and not inside
            fills = tuple(
                tuple(self.colors[n][m] if n * self.width + m < done else BLANK for m, _ in columns[column])
                for n, _ in rows[row]
            )
            if cut and inside:
                text: str | Number = plain(values[row, column] + bias)
            else:
                text = plain(values[row, column]) if any(set(line) - {BLANK} for line in fills) else ""
            if hatched or not rows[row] or not columns[column]:
                fills = ((BLANK,),)
            return Cell(text, fills, name=name, hatched=hatched)

        now = [] if current is None else [self.stamp(current)]
        framed = [] if at is None else [(at[0] - self.first[0], at[1] - self.first[1])]
        return grid(title, self.operation.canvas, painted, self.first, [*frames, *now], framed)


def scatter(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = Scatter(operation, channel, most)
    number = built.height * built.width
    bias = operation.bias_of(channel)
    more = f"; the bias, {written(bias)}, is added" if bias else ""
    ending = f"The padding cuts what lies outside the dashed line{more}."

    def steps() -> Iterator[Step]:
        canvases = {group: built.canvases(group) for group in built.groups}
        now = {group: next(states) for group, states in canvases.items()}
        yield built.step(now, 0, ("Nothing is stamped yet. The dashed line is where the padding will cut.",))
        for done, place in enumerate(np.ndindex(built.height, built.width), 1):
            now = {group: next(states) for group, states in canvases.items()}
            yield built.step(now, done, _said(operation, place), current=place)
        yield built.step(now, number, (ending,), cut=True)

    final = {group: list(built.canvases(group))[-1] for group in built.groups}
    still = built.step(final, number, built.said(at), at=at, cut=True)
    legend = [
        (Cell(fills=((own_colors(1, 1, (1, 1))[0][0],),)), "each input has a colour of its own"),
        (Cell(framed=True), "what goes into the entry"),
        (Cell(name="window"), "the stamp that is added"),
        (Cell(name="cut"), "the output"),
    ]
    if operation.canvas != operation.shape[1:]:
        legend.append((Cell(hatched=True), "cut off by the padding"))
    return Built(number + 2, steps, still, legend)


def _said(operation: DeconvOperation, place: Place) -> tuple[str, ...]:
    high, wide = operation.layer.axes
    top, left = high.stride * place[0] - high.padding, wide.stride * place[1] - wide.padding
    value = f" = {written(operation.x[0, place[0], place[1]])}" if operation.x.shape[0] == 1 else ""
    its = "its value" if len(operation.inputs_of(0)) == 1 else "its value in each channel"
    return (
        f"{named('x', *place)}{value} stamps {its} × w on rows {top} … {top + high.extent - 1} and columns {left} … "
        f"{left + wide.extent - 1}.",
    )
