"""Where everything of a step stands: from grids to shapes, with places that stay the same from step to step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from segup.explain.drawing import palette
from segup.explain.drawing.fonts import width as text_width
from segup.explain.drawing.fonts import wrapped
from segup.explain.drawing.scene import Line, Piece, Rect, Scene, Shape, Text
from segup.explain.drawing.story import Block, Cell, Frame, Grid, Sign, Step, Story
from segup.explain.numbers import Number, is_rounded, shown

CELL, FIGURE, INDEX, TITLE, BODY, HEAD = 30, 14, 11, 14, 15, 19
"""Sizes in pixels: the smallest cell, and the text in cells, at their edges, above grids, in sentences, on top."""
MARGIN, GAP, ROW_GAP, HATCH = 22, 22, 16, 7.5
WIDEST, TALLEST, NARROWEST = 1040, 2000, 700
"""A README shows a picture some 800 pixels wide: at 1040 its numbers are still 11 pixels high there."""


@dataclass(frozen=True)
class Box:
    """A block and where it stands: its outer rectangle, and the place of its first cell."""

    block: Block
    row: int
    place: int
    x: float
    y: float
    width: float
    height: float
    grid_x: float = 0
    grid_y: float = 0


@dataclass(frozen=True)
class Plan:
    """What all steps of one animation share.

    Args:
        cell: Width of a cell; its height is CELL.
        digits: Figures of the numbers in cells.
        lines: What stands above the grids.
        width, height: Of the whole.
        top: Where the grids begin.
        caption_top: Where the caption begins.
    """

    cell: float
    digits: int | None
    lines: tuple[str, ...]
    width: int
    height: int
    top: float
    caption_top: float
    legend_top: float


def plan(story: Story, steps: Sequence[Step]) -> Plan:
    """Return sizes with which every one of ``steps`` fits."""
    grids = [block for step in steps for row in step.rows for block in row if isinstance(block, Grid)]
    texts = {one.text: _text(one.text, story.digits) for grid in grids for line in grid.cells for one in line}
    cell = max([float(CELL), *(text_width(text, FIGURE) + 10 for text in texts.values())])
    lines = (*story.lines, *_rounding(texts, story.digits))
    arranged = {  # by all that decides where the grids of a step stand: most steps share one
        tuple(
            tuple((len(b.cells), len(b.cells[0]), b.title) if isinstance(b, Grid) else b.text for b in row)
            for row in step.rows
        ): step
        for step in steps
    }
    boxes = [box for step in arranged.values() for box in _boxes(step, cell, 0)]
    wide = max(NARROWEST, max(box.x + box.width for box in boxes) + MARGIN)
    room = wide - 2 * MARGIN
    top = MARGIN + HEAD + 6 + sum(len(wrapped(line, BODY, room)) for line in lines) * (BODY + 6) + 12
    caption_top = top + max(box.y + box.height for box in boxes) + 18
    said = max(sum(len(wrapped(line, BODY, room)) for line in step.caption) for step in steps)
    legend_top = caption_top + said * (BODY + 6) + 4
    height = legend_top + len(_legend_rows(story, room)) * (FIGURE + 12) + MARGIN - 4
    return Plan(cell, story.digits, lines, ceil(wide), round(height), top, caption_top, legend_top)


def _text(content: str | Number, digits: int | None) -> str:
    return content if isinstance(content, str) else shown(content, digits)


def _rounding(texts: Mapping[str | Number, str], digits: int | None) -> tuple[str, ...]:
    """Return what is to be said of numbers that are rounded, where any are."""
    if not any(is_rounded(content, text) for content, text in texts.items() if not isinstance(content, str)):
        return ()
    return (f"Numbers in the cells are rounded{'' if digits is None else f', long ones to {digits} figures'}.",)


def compose(story: Story, step: Step, plan: Plan) -> Scene:
    """Return a step as a drawing."""
    room = plan.width - 2 * MARGIN
    pieces: list[Piece] = [(Rect(0, 0, plan.width, plan.height, palette.PAPER),)]
    pieces.append((Text(MARGIN, MARGIN + HEAD - 3, story.title, HEAD, palette.INK, "start", True),))
    pieces += _paragraphs(plan.lines, MARGIN + HEAD + 8, room, palette.QUIET)
    for box in _boxes(step, plan.cell, plan.top):
        pieces += _grid(box, plan) if isinstance(box.block, Grid) else [_sign(box)]
    pieces += _paragraphs(step.caption, plan.caption_top, room, palette.INK)
    pieces += _legend(story, plan, room)
    return Scene(plan.width, plan.height, tuple(pieces), story.title, " ".join(step.caption))


def _paragraphs(lines: Sequence[str], top: float, room: float, color: str) -> list[Piece]:
    texts = [part for line in lines for part in wrapped(line, BODY, room)]
    return [
        (Text(MARGIN, top + BODY - 1 + place * (BODY + 6), text, BODY, color, "start"),)
        for place, text in enumerate(texts)
    ]


def _boxes(step: Step, cell: float, top: float) -> list[Box]:
    """Return where the blocks stand; a row that is too wide goes on below."""
    boxes: list[Box] = []
    y = top
    for number, row in enumerate(step.rows):
        line: list[tuple[int, Block, float, float]] = []
        x = 0.0
        for place, block in enumerate(row):
            wide, high = _extent(block, cell)
            if line and x + wide > WIDEST - 2 * MARGIN and isinstance(block, Grid):
                carried = [line.pop()] if len(line) > 1 and isinstance(line[-1][1], Sign) else []  # a sign goes along
                y = _set(boxes, number, line, y, cell) + ROW_GAP
                line, x = carried, sum(one[2] + GAP for one in carried)
            line.append((place, block, wide, high))
            x += wide + GAP
        y = _set(boxes, number, line, y, cell) + ROW_GAP
    return boxes


def _set(boxes: list[Box], number: int, line: list[tuple[int, Block, float, float]], y: float, cell: float) -> float:
    """Set one line of blocks, their titles level, and return where it ends."""
    x, height = float(MARGIN), max(high for _, _, _, high in line)
    grids = [block for _, block, _, _ in line if isinstance(block, Grid)]
    # Signs stand level with the middle of the smallest grid, where all grids of the line have numbers.
    level = min((_head(one, cell) + len(one.cells) * CELL / 2 for one in grids), default=CELL / 2)
    for place, block, wide, high in line:
        if isinstance(block, Grid):
            head = _head(block, cell)
            left = x + (INDEX * 1.9 if block.indexed else 0)
            boxes.append(Box(block, number, place, x, y, wide, high, left, y + head))
        else:
            boxes.append(Box(block, number, place, x, y + level - CELL / 2, wide, CELL))
        x += wide + GAP
    return y + height


def _titles(grid: Grid, cell: float) -> list[str]:
    return wrapped(grid.title, TITLE, max(150.0, len(grid.cells[0]) * cell + 20), True)


def _head(grid: Grid, cell: float) -> float:
    return len(_titles(grid, cell)) * (TITLE + 4) + (INDEX + 6 if grid.indexed else 5)


def _extent(block: Block, cell: float) -> tuple[float, float]:
    if isinstance(block, Sign):
        return text_width(block.text, HEAD if len(block.text) < 3 else BODY, True), CELL
    titles = max(text_width(text, TITLE, True) for text in _titles(block, cell))
    body = len(block.cells[0]) * cell + (INDEX * 1.9 if block.indexed else 0)
    return max(body, titles), _head(block, cell) + len(block.cells) * CELL


def _sign(box: Box) -> Piece:
    assert isinstance(box.block, Sign)
    x, y = box.x + box.width / 2, box.y + box.height / 2 + HEAD * 0.36
    return (Text(x, y, box.block.text, HEAD if len(box.block.text) < 3 else BODY, palette.QUIET, "middle", True),)


def _grid(box: Box, plan: Plan) -> list[Piece]:
    grid, cell = box.block, plan.cell
    assert isinstance(grid, Grid)
    pieces: list[Piece] = [
        (Text(box.x, box.y + TITLE + place * (TITLE + 4), text, TITLE, palette.INK, "start", True),)
        for place, text in enumerate(_titles(grid, cell))
    ]
    if grid.indexed:
        for row in range(len(grid.cells)):
            y = box.grid_y + (row + 0.5) * CELL + INDEX * 0.36
            pieces.append((Text(box.grid_x - 5, y, str(row + grid.first[0]), INDEX, palette.QUIET, "end"),))
        for column in range(len(grid.cells[0])):
            x = box.grid_x + (column + 0.5) * cell
            pieces.append((Text(x, box.grid_y - 5, str(column + grid.first[1]), INDEX, palette.QUIET),))
    framed: list[Piece] = []
    for row, line in enumerate(grid.cells):
        for column, one in enumerate(line):
            x, y = box.grid_x + column * cell, box.grid_y + row * CELL
            pieces.append(_cell(one, x, y, plan))
            if one.framed:
                framed.append((Rect(x, y, cell, CELL, "", palette.INK, 3),))
    return pieces + framed + [_frame(frame, box, cell) for frame in grid.frames]


def _cell(one: Cell, x: float, y: float, plan: Plan) -> Piece:
    shapes: list[Shape] = []
    cell, text = plan.cell, _text(one.text, plan.digits)
    high, wide = CELL / len(one.fills), cell / len(one.fills[0])
    if len(one.fills) == 1 and len(one.fills[0]) == 1:
        shapes.append(Rect(x, y, cell, CELL, one.fills[0][0], palette.LINE))
    else:
        shapes += [
            Rect(x + column * wide, y + row * high, wide, high, color)
            for row, line in enumerate(one.fills)
            for column, color in enumerate(line)
        ]
        shapes.append(Rect(x, y, cell, CELL, "", palette.LINE))
    if one.hatched:
        shapes += _hatching(x, y, cell)
    if text:
        place = Text(x + cell / 2, y + CELL / 2 + FIGURE * 0.36, text, FIGURE, one.ink, "middle", False, one.name)
        if one.hatched:
            room = text_width(text, FIGURE) + 4
            shapes.append(Rect(x + (cell - room) / 2, y + 7, room, CELL - 14, one.fills[0][0]))
        shapes.append(place)
    return tuple(shapes)


def _hatching(x: float, y: float, cell: float) -> list[Shape]:
    """Return diagonal lines through a cell."""
    lines: list[Shape] = []
    for place in range(1, ceil((cell + CELL) / HATCH)):
        offset = place * HATCH
        start = (x + min(offset, cell), y + max(0.0, offset - cell))
        end = (x + max(0.0, offset - CELL), y + min(offset, float(CELL)))
        lines.append(Line(*start, *end, palette.QUIET, 1))
    return lines


def _frame(frame: Frame, box: Box, cell: float) -> Piece:
    x, y, dashed = box.grid_x + frame.left * cell, box.grid_y + frame.top * CELL, frame.style == "cut"
    color = palette.INK if dashed else palette.MARK
    return (Rect(x, y, frame.width * cell, frame.height * CELL, "", color, 3, dashed),)


def _legend_rows(story: Story, room: float) -> list[list[tuple[Cell, str, float]]]:
    rows: list[list[tuple[Cell, str, float]]] = []
    x = room + 1.0
    for cell, text in story.legend:
        wide = 26 + text_width(text, TITLE) + 26
        if x + wide > room + 26:
            rows.append([])
            x = 0.0
        rows[-1].append((cell, text, x))
        x += wide
    return rows


def _legend(story: Story, plan: Plan, room: float) -> list[Piece]:
    pieces: list[Piece] = []
    for number, row in enumerate(_legend_rows(story, room)):
        y = plan.legend_top + number * (FIGURE + 12)
        for cell, text, x in row:
            left = MARGIN + x
            shapes: list[Shape] = [Rect(left, y, 18, 18, cell.fills[0][0], palette.LINE)]
            if cell.hatched:
                ends = ((9, 0, 0, 9), (18, 0, 0, 18), (18, 9, 9, 18))
                shapes += [Line(left + a, y + b, left + c, y + d, palette.QUIET) for a, b, c, d in ends]
            if cell.framed:
                shapes.append(Rect(left, y, 18, 18, "", palette.INK, 3))
            if cell.name:  # the mark of a frame: "window" or "cut"
                cut = cell.name == "cut"
                shapes.append(Rect(left, y, 18, 18, "", palette.INK if cut else palette.MARK, 3, cut))
            shapes.append(Text(left + 26, y + 14, text, TITLE, palette.QUIET, "start"))
            pieces.append(tuple(shapes))
    return pieces
