"""The views of operators whose outputs read with weights of their own: a resize, and CARAFE's reassembly."""

from collections.abc import Iterator

import numpy as np

from segup.explain.drawing.palette import READ, VALUE
from segup.explain.drawing.story import Block, Cell, Sign, Step
from segup.explain.numbers import plain
from segup.explain.operation import Entry, Operation
from segup.explain.rearrange import CarafeOperation
from segup.explain.views.channels import ByChannel
from segup.explain.views.common import MOST_TERMS, Built, Place, grid, numbers_grid, sparse_grid


def reading(operation: Operation, channel: int, at: Place, most: int) -> Built:
    """Return how its steps are made, the still and the legend."""
    built, unread = ByChannel(operation, channel, most), operation.unread()
    _, height, width = operation.shape

    def step(done: int, place: Place) -> Step:
        entry = operation.entry(channel, *place)
        read = {term.source[1:] for term in entry}

        def painted(n: int, m: int) -> Cell:
            if n in unread[0] or m in unread[1]:
                return Cell(plain(operation.x[channel, n, m]), hatched=True)
            return Cell(plain(operation.x[channel, n, m]), ((READ if (n, m) in read else VALUE,),))

        x = grid(built.x(channel), operation.x.shape[1:], painted, framed=sorted(read))
        blocks = (x, Sign("∗"), _weights(operation, entry), Sign("→"), built.result(None, done, place))
        return Step((blocks,), (entry.equation(MOST_TERMS),))

    def steps() -> Iterator[Step]:
        for number, place in enumerate(np.ndindex(height, width)):
            yield step(number, place)

    legend = [(Cell(fills=((READ,),)), "what the entry reads"), (Cell(framed=True), "the entry, and where it reads")]
    if any(unread):
        legend.append((Cell(hatched=True), "read by no output"))
    return Built(height * width, steps, step(height * width, at), legend)


def _weights(operation: Operation, entry: Entry) -> Block:
    """Return the weights of one output: its kernel, or where they lie over the input."""
    if isinstance(operation, CarafeOperation):
        return numbers_grid(f"kernel of {entry.name}", operation.kernel(*entry.place))
    weights = {term.source[1:]: entry.weight_of(term) for term in entry}
    return sparse_grid(f"weights of {entry.name}", operation.x.shape[1:], weights)
