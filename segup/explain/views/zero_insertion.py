"""The zero-insertion view: zeros between inputs, padding, the flipped kernel, and a slide with stride 1."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, PADDING, VALUE, ZERO
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import plain
from segup.explain.steps import steps as told
from segup.explain.views.channels import ByChannel
from segup.explain.views.common import Built, Place, grid, numbers_grid, quiet, window
from segup.shapes.arguments import per_axis


class ZeroInsertion(ByChannel):
    """Builds the steps of the view for one output channel."""

    operation: DeconvOperation
    titles = ("4  {y}", "4  contribution of {x}", "their contribution to {y}")

    @cached_property
    def given(self) -> tuple[set[int], set[int]]:
        """The rows and columns of the padded map that hold an input."""
        axes, sizes, pads = self.operation.layer.axes, self.operation.x.shape[1:], self.operation.pads
        return per_axis(lambda i: {axes[i].stride * n + pads[i][0] for n in range(sizes[i])})

    def spread_grid(self, source: int) -> Grid:
        """Return the input with zeros between."""
        high, wide = self.operation.layer.axes
        values = self.operation.inserted()[source]

        def painted(row: int, column: int) -> Cell:
            real, text = row % high.stride == 0 and column % wide.stride == 0, plain(values[row, column])
            return Cell(text, ((VALUE,),)) if real else quiet(text, ZERO)

        return grid("1  zeros inserted", values.shape, painted)

    def padded_grid(self, source: int, at: Place | None) -> Grid:
        """Return the padded map, the window of ``at`` marked."""
        (top, _), (left, _) = self.operation.pads
        high, wide = self.operation.layer.axes
        values, (_, height, width) = self.padded[source], self.operation.inserted().shape

        def painted(row: int, column: int) -> Cell:
            text = plain(values[row, column])
            if row in self.given[0] and column in self.given[1]:
                return Cell(text, ((VALUE,),))
            return quiet(text, ZERO if 0 <= row - top < height and 0 <= column - left < width else PADDING)

        frames = [] if at is None else [Frame(at[0], at[1], high.extent, wide.extent)]
        return grid("2  padded", values.shape, painted, (-top, -left), frames, list(self.meeting(at)))

    def meeting(self, at: Place | None) -> dict[Place, Place]:
        """Return where an input stands in the window of ``at``, and the tap of the flipped kernel that meets it."""
        taps = {} if at is None else window(self.operation.layer.axes, *at)
        return {place: tap for place, tap in taps.items() if place[0] in self.given[0] and place[1] in self.given[1]}

    def step(self, caption: tuple[str, ...], done: int, stage: int, at: Place | None) -> Step:
        """Return one moment: up to ``stage`` of the four steps, and the slide up to entry number ``done``."""

        def given(source: int) -> list[tuple[Block, ...]]:
            x = numbers_grid(self.x(source), self.operation.x[source], color=VALUE)
            w = numbers_grid(self.w(source), self.weight(source))
            taps = list(self.meeting(at).values())
            flipped = numbers_grid(f"3  {self.w(source)} flipped", self.weight(source)[::-1, ::-1], framed=taps)
            return [
                (x, Sign("→"), _until(self.spread_grid(source), stage >= 1), w),
                (_until(self.padded_grid(source, at), stage >= 2), Sign("∗"), _until(flipped, stage >= 3)),
            ]

        return Step(tuple(self.rows(given, lambda group: self.result(group, done, at))), caption)


def _until(shape: Grid, reached: bool) -> Grid:
    """Return a grid, empty where its step has not come yet."""
    if reached:
        return shape
    return Grid(shape.title, tuple(tuple(Cell() for _ in row) for row in shape.cells), shape.first)


def zero_insertion(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built, lines = ZeroInsertion(operation, channel, most), told(operation, "zero_insertion")
    _, height, width = operation.shape

    def steps() -> Iterator[Step]:
        for stage in (1, 2, 3):
            yield built.step((f"{stage}. {lines[stage - 1]}",), -1, stage, None)
        for number, place in enumerate(np.ndindex(height, width)):
            yield built.step(built.said(place), number, 4, place)

    legend = [
        (Cell(fills=((VALUE,),)), "a value"),
        (Cell(fills=((ZERO,),)), "a zero put between inputs"),
        (Cell(fills=((PADDING,),)), "a zero of the padding"),
        (Cell(name="window"), "the window of the entry"),
        (Cell(fills=((BLANK,),), framed=True), "what goes into it"),
    ]
    return Built(3 + height * width, steps, built.step(built.said(at), height * width, 4, at), legend)
