"""The gradient view: the convolution that is undone, and the same connections walked backwards."""

from collections.abc import Iterator

import numpy as np

from segup.explain.deconv import DeconvOperation
from segup.explain.drawing.palette import BLANK, READ, VALUE
from segup.explain.drawing.story import Block, Cell, Sign, Step
from segup.explain.views.channels import ByChannel
from segup.explain.views.common import Built, Place, clipped, numbers_grid, sparse_grid, window


class Gradient(ByChannel):
    """Builds the steps of the view for one output channel."""

    operation: DeconvOperation
    titles = ("backwards: {y} is written", "contribution of {x}", "contribution of {x}")

    def corner(self, place: Place) -> Place:
        """Return where the window that makes one output of the convolution begins on the large map."""
        high, wide = self.operation.layer.axes
        return high.stride * place[0] - high.padding, wide.stride * place[1] - wide.padding

    def first_reader(self, at: Place) -> Place:
        """Return the first output of the convolution that reads an entry of the large map."""
        rows, columns = (self.operation.reads(i, at[i]) for i in (0, 1))
        return (rows[0][0] if rows else 0, columns[0][0] if columns else 0)

    def forward(self, place: Place, at: Place | None = None) -> tuple[Block, ...]:
        """Return the convolution at one of its outputs: the window on the large map, and the output it makes.

        ``at``, an entry of the large map that is walked back to, stands out.
        """
        _, *size = self.operation.shape
        source, axes, corner = self.inputs[0], self.operation.layer.axes, self.corner(place)
        weights = {position: self.weight(source)[tap] for position, tap in window(axes, *corner).items()}
        large = sparse_grid(
            f"forwards: the large map is read with {self.w(source)}",
            (size[0], size[1]),
            weights,
            [clipped(*corner, axes, (size[0], size[1]))],
            [at],
        )
        return large, Sign("→"), sparse_grid("into one output", self.operation.x.shape[1:], {}, framed=[place])

    def forward_said(self, place: Place) -> str:
        """Return what the convolution reads for one of its outputs."""
        forward = str(self.operation.layer).replace("deconv", "conv", 1).partition(" op")[0]
        (high, wide), (top, left) = self.operation.layer.axes, self.corner(place)
        return (
            f"Forwards, '{forward}': output [{place[0]},{place[1]}] reads rows {top} … {top + high.extent - 1} and "
            f"columns {left} … {left + wide.extent - 1}."
        )

    def backward(self, at: Place, done: int) -> Iterator[tuple[Block, ...]]:
        """Yield the way back to an entry of the large map, those up to number ``done`` written."""
        above, beside = (self.operation.reads(i, at[i]) if done >= 0 else [] for i in (0, 1))
        readers = {(n, m): (i, j) for n, i in above for m, j in beside}
        for group in self.groups:
            given = self._connections(group.channels[0], readers) if group.single else (Sign(f"{group.name} together"),)
            yield (self.result(group, done, at), Sign("←"), *given)
        if not self.alone:
            yield self.result(None, done, at), Sign("is the sum of the channels")

    def _connections(self, source: int, readers: dict[Place, Place]) -> tuple[Block, ...]:
        """Return the values of the windows that read an entry, and the weights, each at its window's place."""
        values = self.operation.x[source]
        weights = {place: self.weight(source)[tap] for place, tap in readers.items()}
        x = numbers_grid(f"from {self.x(source)}", values, color=VALUE, framed=list(readers))
        return x, Sign("·"), sparse_grid("their weights", values.shape, weights)

    def step(self, at: Place, done: int, caption: tuple[str, ...]) -> Step:
        """Return one moment of the way back, to the entry ``at``."""
        return Step((self.forward(self.first_reader(at), at), *self.backward(at, done)), caption)


def gradient(operation: DeconvOperation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built = Gradient(operation, channel, most)
    small, large = operation.x.shape[1:], operation.shape[1:]
    back = tuple(built.backward((0, 0), -1))

    def steps() -> Iterator[Step]:
        for place in np.ndindex(*small):
            yield Step((built.forward(place), *back), (built.forward_said(place),))
        for number, place in enumerate(np.ndindex(*large)):
            yield built.step(place, number, built.said(place))

    caption = (built.forward_said(built.first_reader(at)), *built.said(at))
    legend = [
        (Cell(fills=((READ,),)), "what a window reads, with its weight"),
        (Cell(name="window"), "the window of the convolution"),
        (Cell(fills=((VALUE,),)), "a value"),
        (Cell(fills=((BLANK,),), framed=True), "the entry, and the windows that read it"),
    ]
    count = small[0] * small[1] + large[0] * large[1]
    return Built(count, steps, built.step(at, large[0] * large[1], caption), legend)
