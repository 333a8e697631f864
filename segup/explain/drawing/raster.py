"""A drawing as pixels."""

from math import hypot

from PIL import Image, ImageDraw

from segup.explain.drawing.fonts import font
from segup.explain.drawing.scene import Line, Rect, Scene, Text

ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
DASH, SPACE = 8, 5


def raster(scene: Scene, scale: int = 2) -> Image.Image:
    """Return a drawing as an image of ``scale`` pixels for each of its own, smoothed from twice as many."""
    factor = 2 * scale
    image = Image.new("RGB", (scene.width * factor, scene.height * factor), "white")
    draw = ImageDraw.Draw(image)
    for piece in scene.pieces:
        for shape in piece:
            if isinstance(shape, Rect):
                _rect(draw, shape, factor)
            elif isinstance(shape, Line):
                _stroke(draw, (shape.x1, shape.y1), (shape.x2, shape.y2), shape, factor)
            else:
                _text(draw, shape, factor)
    return image.reduce(2)


def _rect(draw: ImageDraw.ImageDraw, rect: Rect, factor: int) -> None:
    left, top, right, bottom = rect.x, rect.y, rect.x + rect.width, rect.y + rect.height
    if rect.fill:
        draw.rectangle(
            [round(left * factor), round(top * factor), round(right * factor) - 1, round(bottom * factor) - 1],
            fill=rect.fill,
        )
    if not rect.stroke:
        return
    if rect.dashed:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            _stroke(draw, start, end, rect, factor)
        return
    half = rect.line / 2
    draw.rectangle(
        [
            round((left - half) * factor),
            round((top - half) * factor),
            round((right + half) * factor) - 1,
            round((bottom + half) * factor) - 1,
        ],
        outline=rect.stroke,
        width=round(rect.line * factor),
    )


def _stroke(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    shape: Rect | Line,
    factor: int,
) -> None:
    length = hypot(end[0] - start[0], end[1] - start[1])
    if not length:
        return
    across, down = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    at, dash = 0.0, DASH if shape.dashed else length
    while at < length:
        stop = min(length, at + dash)
        ends = [
            (start[0] + across * d) * factor if i == 0 else (start[1] + down * d) * factor
            for d in (at, stop)
            for i in (0, 1)
        ]
        draw.line(ends, fill=shape.stroke, width=round(shape.line * factor))
        at = stop + (SPACE if shape.dashed else length)


def _text(draw: ImageDraw.ImageDraw, text: Text, factor: int) -> None:
    draw.text(
        (text.x * factor, text.y * factor),
        text.text,
        fill=text.color,
        font=font(text.size * factor, text.bold),
        anchor=ANCHORS[text.anchor],
    )
