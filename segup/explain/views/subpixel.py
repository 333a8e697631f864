"""The sub-pixel view: a small convolution for each phase, interleaved; and a pixel shuffle, which only interleaves."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation, Phase
from segup.explain.drawing.palette import BLANK, VALUE, phase_colors
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step
from segup.explain.numbers import Array, plain, written
from segup.explain.rearrange import ShuffleOperation
from segup.explain.views.common import Built, Place, entry_lines, grid, named, numbers_grid
from segup.explain.views.lanes import Stamped, channel_title


class SubPixel(Stamped):
    """Builds the steps of the view for one output channel."""

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
        framed = [] if at is None else self._taps(at)
        return numbers_grid(f"{self.w(source, self.inner)} by phase", weight, colors=colors, framed=framed)

    def _taps(self, at: Place) -> list[Place]:
        entry = self.operation.entry(self.channel, *at)
        return [(term.tap[2], term.tap[3]) for term in entry if term.tap and term.source[0] == self.inputs[0]]

    def small(self, number: int) -> Block:
        """Return the small kernel of one phase as it slides, flipped."""
        a, b = self.phases[number]
        title = f"phase {a.residue},{b.residue}"
        if not a.taps or not b.taps:
            return Grid(f"{title}: no tap", ((Cell("–"),),), indexed=False)
        weight = self.weight(self.inputs[0])[np.ix_(a.taps[::-1], b.taps[::-1])]
        return numbers_grid(title, weight, color=self.colors[number])

    def made(self, number: int, at: Place | None, empty: bool = False) -> Grid:
        """Return the low-resolution map of one phase, the place of canvas position ``at`` marked."""
        a, b = self.phases[number]
        values = self.maps[number]
        framed = []
        if at is not None and self.phase_of(*at) == number:
            framed = [(at[0] // self.strides[0], at[1] // self.strides[1])]

        def painted(row: int, column: int) -> Cell:
            return Cell() if empty else Cell(plain(values[row, column]), ((self.colors[number],),))

        return grid(f"map {a.residue},{b.residue}", values.shape, painted, framed=framed)

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

        frame = Frame(high.padding, wide.padding, height, width, "cut")
        return grid(
            f"{self.y}, inside the dashed line" if cut else "interleaved",
            size,
            painted,
            (-high.padding, -wide.padding),
            [frame],
            [] if at is None else [at],
        )

    def step(self, done: int, caption: tuple[str, ...], at: Place | None = None, cut: bool = False) -> Step:
        """Return one moment: the first ``done`` phases made; ``at`` is a place of the output."""
        high, wide = self.operation.layer.axes
        inner = None if at is None else (at[0] + high.padding, at[1] + wide.padding)
        sources = [] if at is None else [t.source[1:] for t in self.operation.entry(self.channel, *at)]
        first: list[Block] = [
            numbers_grid(
                self.x(self.inputs[0]),
                self.operation.x[self.inputs[0]],
                color=VALUE,
                framed=[(n, m) for n, m in sources],
            ),
            self.kernel(at),
        ]
        if len(self.inputs) > 1:
            first.append(Sign(f"… and {len(self.inputs) - 1} more channels, summed"))
        count = range(len(self.phases))
        return Step(
            (
                (*first, *(self.small(number) for number in count)),
                tuple(self.made(number, inner, number >= done) for number in count),
                (self.woven(done, inner, cut),),
            ),
            caption,
        )


def subpixel(operation: DeconvOperation, channel: int, at: Place) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = SubPixel(operation, channel)
    bias = operation.bias_of(channel)
    ending = f"; the bias, {written(bias)}, is added" if bias else ""

    def steps() -> Iterator[Step]:
        yield built.step(0, ("The taps of each phase, taken out of the kernel and flipped, are a small kernel.",))
        for number, (a, b) in enumerate(built.phases, 1):
            taps = [f"w[{i},{j}]" for i in a.taps for j in b.taps]
            said = f"Phase {a.residue},{b.residue} uses {', '.join(taps) or 'no tap, so that it is 0'}"
            yield built.step(number, (f"{said}; its map goes to every such position of the output.",))
        yield built.step(len(built.phases), (f"What lies outside the dashed line is cut off{ending}.",), cut=True)

    caption = entry_lines(operation.entry(channel, *at))
    still = built.step(len(built.phases), caption, at, cut=True)
    legend = [(Cell(framed=True), "what goes into the entry"), (Cell(name="cut"), "the output")]
    if still_cuts(operation):
        cut = any(axis.padding for axis in operation.layer.axes)
        legend.append((Cell(hatched=True), "cut off by the padding" if cut else "beyond the output"))
    return Built(len(built.phases) + 2, steps, still, legend)


def still_cuts(operation: DeconvOperation) -> bool:
    """Return whether anything interleaved lies outside the output."""
    sizes = zip(operation.phase_size(), operation.layer.axes, operation.shape[1:], strict=True)
    return any(n * axis.stride != o for n, axis, o in sizes)


def shuffle(operation: ShuffleOperation, channel: int, at: Place) -> Built:
    """Return how the steps of a pixel shuffle are made, its still and its legend."""
    r = operation.layer.upscale_factor
    colors = phase_colors(r * r)
    y: Array = operation.compute("subpixel")[channel]

    def step(done: int, caption: tuple[str, ...], at: Place | None = None) -> Step:
        given = []
        for phase in range(r * r):
            source = channel * r * r + phase
            here = at is not None and (at[0] % r) * r + at[1] % r == phase
            framed = [(at[0] // r, at[1] // r)] if at is not None and here else []
            given.append(numbers_grid(f"x[{source}]", operation.x[source], color=colors[phase], framed=framed))

        def painted(row: int, column: int) -> Cell:
            phase = (row % r) * r + column % r
            if phase >= done:
                return Cell()
            return Cell(plain(y[row, column]), ((colors[phase],),), name=named("y", row, column))

        title = channel_title("y", channel, operation.shape[0])
        return Step((tuple(given), (grid(title, y.shape, painted, framed=[] if at is None else [at]),)), caption)

    def steps() -> Iterator[Step]:
        yield step(0, (f"{r * r} channels become one of {r} times the size.",))
        for phase in range(r * r):
            a, b = divmod(phase, r)
            said = f"x[{channel * r * r + phase}] goes to row {a} and column {b} of every {r}×{r} cell."
            yield step(phase + 1, (said,))

    legend = [(Cell(fills=((colors[p],),)), f"phase {p // r},{p % r}") for p in range(min(9, r * r))]
    return Built(r * r + 1, steps, step(r * r, entry_lines(operation.entry(channel, *at)), at), legend)
