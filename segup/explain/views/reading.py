"""The views of operators whose outputs read with weights of their own: a resize, and CARAFE's reassembly."""

from collections.abc import Iterator

from segup.explain.drawing.palette import BLANK, READ, VALUE
from segup.explain.drawing.story import Block, Cell, Sign, Step
from segup.explain.numbers import Array, plain
from segup.explain.operation import Entry, Operation
from segup.explain.rearrange import CarafeOperation
from segup.explain.views.common import MOST_TERMS, Built, Place, grid, numbers_grid, result_grid
from segup.explain.views.lanes import channel_title


def reading(operation: Operation, channel: int, at: Place) -> Built:
    """Return how its steps are made, the still and the legend."""
    _, height, width = operation.shape
    unread = operation.unread()
    made: Array = operation.compute(operation.ways[0])[channel]

    def step(done: int, place: Place) -> Step:
        entry = operation.entry(channel, *place)
        of = operation.x.shape[0]
        read = {term.source[1:]: term.weight for term in entry}

        def painted(n: int, m: int) -> Cell:
            text = plain(operation.x[channel, n, m])
            if n in unread[0] or m in unread[1]:
                return Cell(text, hatched=True)
            return Cell(text, ((READ if (n, m) in read else VALUE,),))

        size = operation.x.shape[1:]
        x = grid(channel_title("x", channel, of), (size[0], size[1]), painted, framed=sorted(read))
        blocks: list[Block] = [x, Sign("∗"), _weights(operation, entry), Sign("→")]
        result = result_grid(channel_title("y", channel, of), made, done, place)
        return Step(((*blocks, result),), (entry.equation(MOST_TERMS),))

    def steps() -> Iterator[Step]:
        for number in range(height * width):
            yield step(number, divmod(number, width))

    legend = [(Cell(fills=((READ,),)), "what the entry reads"), (Cell(framed=True), "the entry, and where it reads")]
    if any(unread):
        legend.append((Cell(hatched=True), "read by no output"))
    return Built(height * width, steps, step(height * width, at), legend)


def _weights(operation: Operation, entry: Entry) -> Block:
    """Return the weights of one output: its kernel, or where they lie over the input."""
    if isinstance(operation, CarafeOperation):
        return numbers_grid(f"kernel of {entry.name}", operation.kernel(*entry.place))
    weights = {term.source[1:]: entry.weight_of(term) for term in entry}

    def painted(row: int, column: int) -> Cell:
        weight = weights.get((row, column))
        return Cell() if weight is None else Cell(plain(weight), ((READ if weight else BLANK,),))

    size = operation.x.shape[1:]
    return grid(f"weights of {entry.name}", (size[0], size[1]), painted)
