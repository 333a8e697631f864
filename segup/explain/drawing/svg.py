"""A drawing as SVG text."""

from html import escape

from segup.explain.drawing.fonts import FAMILY
from segup.explain.drawing.scene import Line, Piece, Rect, Scene, Shape, Text


def svg(scene: Scene) -> str:
    """Return a drawing as an SVG document.

    >>> print(svg(Scene(9, 9, ((Rect(0, 0, 9, 9, "#ffffff"),),), "a", "b")).splitlines()[-2])
    <rect x="0" y="0" width="9" height="9" fill="#ffffff"/>
    """
    body = "\n".join(fragment(piece) for piece in scene.pieces)
    said = f"<title>{escape(scene.title)}</title>\n<desc>{escape(scene.description)}</desc>"
    return f"{opening(scene)}\n{said}\n{body}\n</svg>\n"


def opening(scene: Scene) -> str:
    """Return the start tag of a drawing's SVG."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}" '
        f'viewBox="0 0 {scene.width} {scene.height}" role="img" font-family="{FAMILY}">'
    )


def fragment(piece: Piece) -> str:
    """Return a piece's SVG."""
    return "".join(map(_shape, piece))


def _shape(shape: Shape) -> str:
    if isinstance(shape, Rect):
        fill = shape.fill or "none"
        return (
            f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}" '
            f'fill="{fill}"{_stroke(shape.stroke, shape.line, shape.dashed)}/>'
        )
    if isinstance(shape, Line):
        ends = f'x1="{_n(shape.x1)}" y1="{_n(shape.y1)}" x2="{_n(shape.x2)}" y2="{_n(shape.y2)}"'
        return f"<line {ends}{_stroke(shape.stroke, shape.line, shape.dashed)}/>"
    return _text(shape)


def _text(text: Text) -> str:
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    bold = ' font-weight="bold"' if text.bold else ""
    name = f' data-name="{escape(text.name)}"' if text.name else ""
    return (
        f'<text x="{_n(text.x)}" y="{_n(text.y)}" font-size="{_n(text.size)}" fill="{text.color}"{anchor}{bold}{name}>'
        f"{escape(text.text, quote=False)}</text>"
    )


def _stroke(color: str, width: float, dashed: bool) -> str:
    if not color:
        return ""
    dashes = ' stroke-dasharray="8 5"' if dashed else ""
    line = "" if width == 1 else f' stroke-width="{_n(width)}"'
    return f' stroke="{color}"{line}{dashes}'


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
