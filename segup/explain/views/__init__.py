"""The views: each turns a layer with its numbers into steps, as plain data."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError
from segup.explain.drawing.compose import CELL, TALLEST, WIDEST, Plan, plan
from segup.explain.drawing.story import Story
from segup.explain.operation import Operation
from segup.explain.phrases import size_said
from segup.explain.rearrange import ShuffleOperation
from segup.explain.steps import VIEWS, steps
from segup.explain.views.channels import MOST_CHANNELS
from segup.explain.views.common import Built, Place, busiest
from segup.explain.views.gradient import gradient
from segup.explain.views.overlap import overlap
from segup.explain.views.reading import reading
from segup.explain.views.scatter import scatter
from segup.explain.views.subpixel import shuffle, subpixel
from segup.explain.views.windows import windows
from segup.explain.views.zero_insertion import zero_insertion

MOST_CELLS = 64
"""Beyond so many rows or columns a grid is called too large without drawing it."""
DIGITS = (None, 4, 3, 2)
"""Figures of the numbers in cells: fewer where a picture is too large with more."""
MOST_STEPS = 400
"""An animation of more steps would be watched by nobody."""
Builder = Callable[[Any, int, Place, int], Built]
BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "scatter": scatter,
        "zero_insertion": zero_insertion,
        "gradient": gradient,
        "subpixel": subpixel,
        "convolution": windows,
        "pooling": windows,
        "sampling": reading,
        "reassembly": reading,
        "overlap": overlap,
    }
)
"""What makes each view, of a layer with numbers, an output channel, an entry, and so many channels by themselves."""


class UnreadableError(ShapeError):
    """A picture would be too large to read.

    Attributes:
        problem: What is too large, in words.
        size: Rows and columns of the largest part of the input that is readable; None where none is.
    """

    def __init__(self, problem: str, size: Place | None) -> None:
        self.problem, self.size = problem, size
        high, wide = size or (0, 0)
        super().__init__(self.with_way(f"its first {high} rows and {wide} columns, x[..., :{high}, :{wide}]"))

    def with_way(self, way: str) -> str:
        """Return the message with ``way`` as how to get an input of ``size``."""
        if self.size is None:
            return f"{self.problem}\n  try: fewer channels or a smaller kernel: no input is small enough with these."
        return f"{self.problem}\n  try: {way}, the largest that is readable with these parameters."


def story(operation: Operation, view: str, at: Place | None = None, channel: int = 0, animated: bool = False) -> Story:
    """Return the pictures of one view of one layer.

    Args:
        operation: The layer with its numbers.
        view: One of its views, or "overlap".
        at: The output entry to point out; by default one into which much goes.
        channel: The output channel to show.
        animated: Whether the steps are to be shown, not the still alone.

    Raises:
        ShapeError: It would be too large to read, and the message says how large it may be; or there is no such entry.
    """
    if at is not None and not (isinstance(at, tuple | list) and len(at) == 2):
        raise ShapeError(f"at is (row, column) of an output entry, not {at!r}.")
    operation.entry(channel, *((0, 0) if at is None else at))
    if not _small(operation):
        raise _too_large(operation, view, channel, animated, "")
    found, outline = _told(operation, view, at, channel)
    if animated and found.count > MOST_STEPS:
        raise _too_large(operation, view, channel, animated, f" ({found.count} steps, at most {MOST_STEPS} are)")
    if animated and _readable(outline):  # the numbers of a step between may be longer than all that the still shows
        found, outline = _told(operation, view, at, channel, animated)
    if not _readable(outline):
        drawn = f" ({outline.width}×{outline.height} pixels, at most {WIDEST}×{TALLEST} are)"
        raise _too_large(operation, view, channel, animated, drawn)
    return found


def _told(
    operation: Operation, view: str, at: Place | None, channel: int, animated: bool = False
) -> tuple[Story, Plan]:
    """Return a view with as many figures, then as many channels by themselves, as find room, and its sizes."""
    shares = range(min(MOST_CHANNELS, len(operation.inputs_of(channel))), 0, -1)
    stories = cache(lambda most: _told_with(operation, view, at, channel, most))
    for digits in DIGITS:
        for most in shares:
            found = replace(stories(most), digits=digits)
            outline = plan(found, found.steps if animated else [found.still])
            if _readable(outline):
                return found, outline
        if outline.cell == CELL:
            break
    return found, outline


def _readable(outline: Plan) -> bool:
    return outline.width <= WIDEST and outline.height <= TALLEST


def _told_with(operation: Operation, view: str, at: Place | None, channel: int, most: int) -> Story:
    shuffled = view == "subpixel" and isinstance(operation, ShuffleOperation)
    build: Builder = shuffle if shuffled else BUILDERS[view]
    built = build(operation, channel, busiest(operation) if at is None else at, most)
    size = tuple(f"{title}: {text}" for title, text in size_said(operation))
    about = "" if view == "overlap" else " ".join(steps(operation, view))
    name = VIEWS[view].partition(":")[0]
    lines = (*size, about) if about else size
    return Story(view, f"{operation.words} · {name}", lines, built.count, built.steps, built.still, tuple(built.legend))


def _small(operation: Operation) -> bool:
    return max(*operation.x.shape[1:], *operation.shape[1:]) <= MOST_CELLS


def _fits(operation: Operation, view: str, channel: int, animated: bool) -> bool:
    """Return whether a view is readable, judged by its still and its number of steps."""
    if min(operation.shape) < 1 or not _small(operation):
        return False
    told, outline = _told(operation, view, None, channel)
    return _readable(outline) and (not animated or told.count <= MOST_STEPS)


def _too_large(operation: Operation, view: str, channel: int, animated: bool, drawn: str) -> ShapeError:
    height, width = operation.x.shape[1:]
    what = "an animation" if animated else "a picture"
    low, high = 0, min(max(height, width) - 1, MOST_CELLS)
    while low < high:  # the largest square part of this very input that still fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(operation.cropped(middle), view, channel, animated) else (low, middle - 1)
    return UnreadableError(
        f"{height}×{width} is too large to read as {what} of the view '{view}'{drawn}; the numbers are all there.",
        (min(low, height), min(low, width)) if low else None,
    )
