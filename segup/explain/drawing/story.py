"""A view as plain data: steps of grids of numbers, and the still that stands for all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from segup.explain.drawing.palette import BLANK, INK
from segup.explain.numbers import Number


@dataclass(frozen=True)
class Cell:
    """One number of a grid.

    Args:
        text: As shown; a number is written with as many figures as find room.
        fills: Rows of colours that the cell is divided into, one for each contribution.
        ink: Colour of the text.
        name: What the number is, such as ``y[0,1]``; the page's text carries it.
        hatched: Whether it is struck out.
        framed: Whether it stands out by a thick border.
    """

    text: str | Number = ""
    fills: tuple[tuple[str, ...], ...] = ((BLANK,),)
    ink: str = INK
    name: str = ""
    hatched: bool = False
    framed: bool = False


@dataclass(frozen=True)
class Frame:
    """A rectangle around cells of a grid, in cells; "window" is drawn solid, "cut" dashed."""

    top: int
    left: int
    height: int
    width: int
    style: str = "window"


@dataclass(frozen=True)
class Grid:
    """A table of numbers with a title; ``first`` is the index written at its first row and column."""

    title: str
    cells: tuple[tuple[Cell, ...], ...]
    first: tuple[int, int] = (0, 0)
    frames: tuple[Frame, ...] = ()
    indexed: bool = True


@dataclass(frozen=True)
class Sign:
    """A sign or a few words between grids."""

    text: str


Block: TypeAlias = Grid | Sign


@dataclass(frozen=True)
class Step:
    """One moment of a view: rows of grids and signs, and what happens in words."""

    rows: tuple[tuple[Block, ...], ...]
    caption: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """A view of a layer.

    Args:
        view: Its name.
        title: The layer and the view.
        lines: The size formula and what the view shows.
        count: The number of moments before the still.
        moments: Makes them; a still needs none of them.
        still: The picture that stands for all of them.
        legend: What colours and marks mean, each with a cell that has them.
        digits: Figures of the numbers in cells, None for those of :func:`segup.explain.numbers.shown`.
    """

    view: str
    title: str
    lines: tuple[str, ...]
    count: int
    moments: Callable[[], Iterable[Step]]
    still: Step
    legend: tuple[tuple[Cell, str], ...] = ()
    digits: int | None = None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The moments of the animation; it ends with the still."""
        return (*self.moments(), self.still)
