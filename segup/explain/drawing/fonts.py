"""The typeface of all pictures, DejaVu Sans, which matplotlib carries; viewers without it have one of its width."""

from functools import cache
from pathlib import Path

from PIL import ImageFont

FAMILY = "DejaVu Sans, Verdana, Geneva, sans-serif"


@cache
def font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the typeface at a size in pixels."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)


@cache
def width(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is, in pixels."""
    return float(font(100, bold).getlength(text)) * size / 100


def wrapped(text: str, size: float, most: float, bold: bool = False) -> list[str]:
    """Return a text as lines no wider than ``most`` pixels, broken at spaces."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size, bold) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
