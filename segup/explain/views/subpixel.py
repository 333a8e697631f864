"""The sub-pixel view: a small convolution for each phase, interleaved; and a pixel shuffle, which only interleaves."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation, Phase
from segup.explain.drawing.palette import BLANK, VALUE, phase_colors
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import plain, written
from segup.explain.rearrange import ShuffleOperation
from segup.explain.views.channels import ByChannel, channel_title
from segup.explain.views.common import Built, Place, entry_lines, grid, named, numbers_grid


class SubPixel(ByChannel):
    """Builds the steps of the view for one output channel."""

    operation: DeconvOperation

    def __init__(self, operation: DeconvOperation, channel: int) -> None:
        super().__init__(operation, channel, 1)
        self.strides = tuple(axis.stride for axis in operation.layer.axes)
        above, beside = operation.phases
        self.phases: list[tuple[Phase, Phase]] = [(a, b) for a in above for b in beside]
        self.colors = phase_colors(len(self.phases))
        self.maps = [operation.phase_map(a, b)[channel] for a, b in self.phases]

    def phase_of(self, row: int, column: int) -> int:
        """Return the number of the phase of a canvas position."""
        return (row % self.strides[0]) * self.strides[1] + column % self.strides[1]

    def kernel(self, at: Place | None) -> Grid:
        """Return the whole kernel, every tap in the colour of its phase."""
        source = self.inputs[0]
        weight = self.weight(source)
        number = {(i, j): place for place, (a, b) in enumerate(self.phases) for i in a.taps for j in b.taps}
        colors = [[self.colors[number[i, j]] for j in range(weight.shape[1])] for i in range(weight.shape[0])]
        above, beside = (self.operation.reads(i, at[i]) if at else [] for i in (0, 1))
        framed = [(i, j) for _, i in above for _, j in beside]
        return numbers_grid(f"{self.w(source)} by phase", weight, colors=colors, framed=framed)

    def small(self, number: int) -> Block:
        """Return the small kernel of one phase as it slides, flipped."""
        a, b = self.phases[number]
        title = f"phase {a.residue},{b.residue}"
        if not a.taps or not b.taps:
            return Grid(f"{title}: no tap", ((Cell("–"),),), indexed=False)
        weight = self.weight(self.inputs[0])[np.ix_(a.taps[::-1], b.taps[::-1])]
        return numbers_grid(title, weight, color=self.colors[number])

    def made(self, number: int, at: Place | None, done: int) -> Grid:
        """Return the low-resolution map of one phase, the place of canvas position ``at`` marked."""
        a, b = self.phases[number]
        here = at is not None and self.phase_of(*at) == number
        return numbers_grid(
            f"map {a.residue},{b.residue}",
            self.maps[number],
            color=self.colors[number],
            framed=[(at[0] // self.strides[0], at[1] // self.strides[1])] if at and here else [],
            shown=lambda *_: number < done,
        )

    def woven(self, done: int, at: Place | None, cut: bool) -> Grid:
        """Return the maps of the first ``done`` phases interleaved, the cut marked."""
        high, wide = self.operation.layer.axes
        size = (self.maps[0].shape[0] * self.strides[0], self.maps[0].shape[1] * self.strides[1])
        _, height, width = self.operation.shape
        bias = self.operation.bias_of(self.channel)

        def painted(row: int, column: int) -> Cell:
            number = self.phase_of(row, column)
            if number >= done:
                return Cell()
            place = (row - high.padding, column - wide.padding)
            inside = 0 <= place[0] < height and 0 <= place[1] < width
            value = self.maps[number][row // self.strides[0], column // self.strides[1]]
            if cut and not inside:
                return Cell(plain(value), ((BLANK,),), hatched=True)
            text = plain(value + bias if cut else value)
            return Cell(text, ((self.colors[number],),), name=named("y", *place) if inside else "")

        title = f"{self.y}, inside the dashed line" if cut else "interleaved"
        frame = Frame(high.padding, wide.padding, height, width, "cut")
        return grid(title, size, painted, (-high.padding, -wide.padding), [frame], [at])

    def step(self, done: int, caption: tuple[str, ...], at: Place | None = None, cut: bool = False) -> Step:
        """Return one moment: the first ``done`` phases made; ``at`` is a place of the output."""
        high, wide = self.operation.layer.axes
        inner = None if at is None else (at[0] + high.padding, at[1] + wide.padding)
        above, beside = (self.operation.reads(i, at[i]) if at else [] for i in (0, 1))
        sources = [(n, m) for n, _ in above for m, _ in beside]
        source, count = self.inputs[0], range(len(self.phases))
        x = numbers_grid(self.x(source), self.operation.x[source], color=VALUE, framed=sources)
        more = [Sign(f"… and {len(self.inputs) - 1} more channels, summed")] if len(self.inputs) > 1 else []
        return Step(
            (
                (x, self.kernel(at), *more, *(self.small(number) for number in count)),
                tuple(self.made(number, inner, done) for number in count),
                (self.woven(done, inner, cut),),
            ),
            caption,
        )


def subpixel(operation: DeconvOperation, channel: int, at: Place, _most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built, bias = SubPixel(operation, channel), operation.bias_of(channel)
    ending = f"; the bias, {written(bias)}, is added" if bias else ""

    def steps() -> Iterator[Step]:
        yield built.step(0, ("The taps of each phase, taken out of the kernel and flipped, are a small kernel.",))
        for number, (a, b) in enumerate(built.phases, 1):
            taps = [f"w[{i},{j}]" for i in a.taps for j in b.taps]
            said = f"Phase {a.residue},{b.residue} uses {', '.join(taps) or 'no tap, so that it is 0'}"
            yield built.step(number, (f"{said}; its map goes to every such position of the output.",))
        yield built.step(len(built.phases), (f"What lies outside the dashed line is cut off{ending}.",), cut=True)

    still = built.step(len(built.phases), built.said(at), at, cut=True)
    legend = [(Cell(framed=True), "what goes into the entry"), (Cell(name="cut"), "the output")]
    sizes = zip(operation.phase_size(), operation.layer.axes, operation.shape[1:], strict=True)
    if any(n * axis.stride != o for n, axis, o in sizes):  # something interleaved lies outside the output
        cut = any(axis.padding for axis in operation.layer.axes)
        legend.append((Cell(hatched=True), "cut off by the padding" if cut else "beyond the output"))
    return Built(len(built.phases) + 2, steps, still, legend)


def shuffle(operation: ShuffleOperation, channel: int, at: Place, _most: int) -> Built:
    """Return how the steps of a pixel shuffle are made, its still and its legend."""
    r = operation.layer.upscale_factor
    colors, sources = phase_colors(r * r), operation.inputs_of(channel)
    y = operation.compute("subpixel")[channel]
    woven = [[colors[row % r * r + column % r] for column in range(y.shape[1])] for row in range(y.shape[0])]

    def step(done: int, caption: tuple[str, ...], at: Place | None = None) -> Step:
        read = {} if at is None else {term.source[0]: term.source[1:] for term in operation.terms(channel, *at)}
        given = [
            numbers_grid(f"x[{source}]", operation.x[source], color=color, framed=[read.get(source)])
            for source, color in zip(sources, colors, strict=True)
        ]
        title = channel_title("y", channel, operation.shape[0])
        made = numbers_grid(
            title, y, "y", colors=woven, framed=[at], shown=lambda row, column: row % r * r + column % r < done
        )
        return Step((tuple(given), (made,)), caption)

    def steps() -> Iterator[Step]:
        yield step(0, (f"{r * r} channels become one of {r} times the size.",))
        for number, (a, b) in enumerate(np.ndindex(r, r)):
            yield step(number + 1, (f"x[{sources[number]}] goes to row {a} and column {b} of every {r}×{r} cell.",))

    legend = [(Cell(fills=((colors[p],),)), f"phase {p // r},{p % r}") for p in range(min(9, r * r))]
    legend.append((Cell(framed=True), "the entry, and where it comes from"))
    return Built(r * r + 1, steps, step(r * r, entry_lines(operation.entry(channel, *at)), at), legend)
