"""What ``segup explain`` prints: formula, steps, tables, one entry, and what is dropped."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segup.errors import ShapeError
from segup.explain.check import checked
from segup.explain.numbers import Array, written
from segup.explain.operation import Operation
from segup.explain.phrases import by, size_said, unread_said
from segup.explain.steps import VIEWS, steps
from segup.explain.windows import ConvOperation, PoolOperation
from segup.shapes.arguments import split

if TYPE_CHECKING:
    from segup.explain import Explanation

ROWS, COLUMNS, WIDEST = 24, 24, 80
CHANNELS = 4
"""So many channels are printed; of larger tables, so many rows and columns, in lines of so many signs."""


def print_report(explanation: "Explanation", at: tuple[int, int] | None, channel: int, unread: bool) -> None:
    """Print all that is told of a layer."""
    operation = explanation.operations[0]
    if at is not None or channel:
        operation.entry(channel, *(at or (0, 0)))
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=1000)
    console.print(Text(f"{explanation.words}: {_shape(operation.x.shape)} → {_shape(operation.shape)}", style="bold"))
    for title, text in size_said(operation):
        console.print(Text(f"{title:<8}{text}"))
    if explanation.parameters:
        console.print(_parameters(explanation))
    for way in operation.ways:
        console.print(f"\n[bold]{VIEWS[way].partition(':')[0]}[/bold]:{VIEWS[way].partition(':')[2]}")
        for place, line in enumerate(steps(operation, way), 1):
            console.print(Padding(Text(f"{place}. {line}"), (0, 0, 0, 2), expand=False))
    _results(console, operation, channel, at)
    names = [VIEWS[way].partition(":")[0] for way in operation.ways]
    for way in operation.ways:
        checked(operation, way)
    same = f"{', '.join(names[:-1])} and {names[-1]} give these numbers, and so does torch."
    console.print(same if len(names) > 1 else "torch gives the same numbers.", style="dim")
    overlap = steps(operation, "overlap")
    console.print(f"\n[bold]overlap[/bold]: {' '.join(overlap)}")
    if at is not None:
        console.print()
        for line in _entry_lines(operation, channel, at):
            console.print(Text(line))
    if unread:
        console.print()
        _print_unread(console, operation)
    if len(explanation.operations) > 1:
        console.print(f"\nThe first of {len(explanation.operations)} images is shown.", style="dim")


def _shape(shape: Sequence[int]) -> str:
    channels = "" if shape[0] == 1 else f"{shape[0]} channels of "
    return f"{channels}{by(*shape[1:])}"


def _parameters(explanation: "Explanation") -> str:
    operation: Any = explanation.operations[0]
    first, second, height, width = operation.weight.shape
    bias = "" if operation.bias is None else f" weights, and {len(operation.bias)} of bias: {explanation.parameters}"
    return f"weights {first}·{second}·{height}·{width} = {operation.weight.size}{bias}"


def _results(console: Console, operation: Operation, channel: int, at: tuple[int, int] | None) -> None:
    """Print the output, and where several channels go into it, what each of them adds."""
    made = checked(operation, operation.ways[0])
    sources = operation.inputs_of(channel)
    short = operation.shape[0] == 1
    if operation.rule == "sum" and len(sources) > 1 and made[0].size <= 256 and _sums(operation):
        for source in sources[:CHANNELS]:
            part = operation.contribution(source, channel)
            console.print(Text(f"\ncontribution of x[{source}] to y{'' if short else f'[{channel}]'}"))
            console.print(_table(console, part, at))
        if len(sources) > CHANNELS:
            rest = sum(operation.contribution(source, channel) for source in sources[CHANNELS:])
            console.print(Text(f"\ncontribution of x[{sources[CHANNELS]}] … x[{sources[-1]}] together"))
            console.print(_table(console, rest, at))  # type: ignore[arg-type]
    shown = [channel, *(c for c in range(operation.shape[0]) if c != channel)][:CHANNELS]
    for one in shown:  # the one that was asked for first, right after what goes into it
        bias = operation.bias_of(one)
        summed = ", their sum" if one == channel and len(sources) > 1 and _sums(operation) else ""
        more = f", bias {written(bias)} added" if bias else ""
        console.print(Text(f"\ny{'' if short else f'[{one}]'}{summed}{more}"))
        console.print(_table(console, made[one], at if one == channel else None))
    if operation.shape[0] > CHANNELS:
        console.print(f"… and {operation.shape[0] - CHANNELS} more channels (--channel shows another)")


def _sums(operation: Operation) -> bool:
    return hasattr(operation, "weight")


def _table(console: Console, values: Array, at: tuple[int, int] | None) -> Table:
    """Return an output channel as a table; of a large one, the first and last rows and columns that find room."""
    rows, columns = _kept(values.shape[0], ROWS), _kept(values.shape[1], COLUMNS)
    shown = [(row, column) for row in rows if row is not None for column in columns if column is not None]
    cell = max(len(written(values[place])) for place in shown) + 3
    columns = _kept(values.shape[1], max(4, min(COLUMNS, (min(console.width, WIDEST) - 6) // cell)))
    said = f"{by(*values.shape)}, the middle left out" if None in rows or None in columns else None
    table = Table(
        box=box.SIMPLE_HEAD, header_style="dim", show_edge=False, pad_edge=False, caption=said, caption_justify="left"
    )
    table.add_column("", justify="right", style="dim", no_wrap=True)
    for column in columns:
        table.add_column("…" if column is None else str(column), justify="right", no_wrap=True)
    for row in rows:
        if row is None:
            table.add_row("…", *("…" for _ in columns))
            continue
        cells = []
        for column in columns:
            text = "…" if column is None else written(values[row, column])
            cells.append(Text(text, style="bold reverse" if (row, column) == at else ""))
        table.add_row(str(row), *cells)
    return table


def _kept(size: int, most: int) -> list[int | None]:
    """Return all positions, or the first ones, a gap, and the last.

    >>> _kept(3, 24), _kept(100, 6)
    ([0, 1, 2], [0, 1, 2, None, 98, 99])
    """
    if size <= most:
        return list(range(size))
    last = (most - 1) // 2
    return [*range(most - 1 - last), None, *range(size - last, size)]


def _entry_lines(operation: Operation, channel: int, at: tuple[int, int]) -> list[str]:
    entry = operation.entry(channel, *at)
    parts = entry.by_channel()
    lines = [entry.equation()]
    if entry.rule == "sum" and len(parts) > 1:
        for source, terms in parts.items():
            total = written(sum((term.product for term in terms), start=0))
            lines.append(f"  channel {source}: {' + '.join(map(entry.figures, terms))} = {total}")
        lines.append(f"  {entry.name} is their sum{', and the bias' if entry.bias else ''}.")
    return lines


def _print_unread(console: Console, operation: Operation) -> None:
    """Print what is dropped, and what changes with one more row and column, or one more of padding."""
    said = unread_said(operation)
    console.print(f"[bold]unread[/bold]: {said or 'none, every input is read'}.")
    if not isinstance(operation, ConvOperation | PoolOperation):
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", show_edge=False, pad_edge=False)
    for title in ("", "input", "output", "unread"):
        table.add_column(title)
    for title, changed in _variants(operation):
        if isinstance(changed, str):
            table.add_row(title, "", "", changed)
            continue
        unread = unread_said(changed) or "none"
        table.add_row(title, by(*changed.x.shape[1:]), by(*changed.shape[1:]), unread)
    console.print(table)


def _variants(operation: ConvOperation | PoolOperation) -> list[tuple[str, Operation | str]]:
    import numpy as np

    larger = np.pad(operation.x, ((0, 0), (0, 1), (0, 1)))
    found: list[tuple[str, Operation | str]] = [("as it is", operation), ("size + 1", replace(operation, x=larger))]
    if isinstance(operation.layer.padding, str):
        return [*found, ("padding + 1", f'padding="{operation.layer.padding}" is fixed')]
    high, wide = split(operation.layer.padding)
    try:
        layer = replace(operation.layer, padding=(high + 1, wide + 1))
        return [*found, ("padding + 1", replace(operation, layer=layer))]  # type: ignore[arg-type]
    except ShapeError as reason:
        return [*found, ("padding + 1", f"refused: {str(reason).splitlines()[0]}")]
