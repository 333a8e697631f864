"""A drawing as plain data: rectangles, lines and text at fixed places."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Rect:
    """A rectangle; ``fill`` or ``stroke`` may be empty."""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    stroke: str = ""
    line: float = 1
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    stroke: str
    line: float = 1
    dashed: bool = False


@dataclass(frozen=True)
class Text:
    """A line of text on the baseline ``y``; ``name`` says which number it is."""

    x: float
    y: float
    text: str
    size: float
    color: str
    anchor: str = "middle"
    bold: bool = False
    name: str = ""


Shape: TypeAlias = Rect | Line | Text
Piece: TypeAlias = tuple[Shape, ...]
"""Shapes that belong together, such as a cell."""


@dataclass(frozen=True)
class Scene:
    """A drawing: its size in pixels, its pieces from back to front, and what it shows in words."""

    width: int
    height: int
    pieces: tuple[Piece, ...]
    title: str
    description: str
