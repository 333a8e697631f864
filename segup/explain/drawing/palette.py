"""Colours that differ in lightness wherever they have to be told apart, so that grey and colour blindness keep them."""

from functools import cache
from math import cos, pi, sin

INK = "#1b1b1f"
QUIET = "#62656e"
LINE = "#9a9da6"
PAPER = "#ffffff"
BLANK = "#ffffff"
PADDING = "#e4e6eb"
ZERO = "#f4f4f6"
READ = "#fbe3b0"
MARK = "#b3261e"
VALUE = "#cfe3f7"

GOLDEN = 137.508
"""Degrees from one turn to the next: no two of the first few hundred are alike."""
HIGH, LOW = 0.88, 0.55
"""Lightness of the lightest and the darkest colour that a cell is filled with."""
YELLOW, BLUE = 95.0, 265.0
"""Hues that every kind of dichromat tells apart, in degrees."""


@cache
def tone(lightness: float, chroma: float, hue: float) -> str:
    """Return an sRGB colour whose grey has this lightness (CIE L*, 0 … 1), as colourful as asked for or as sRGB allows.

    Source: hue and chroma as in Oklab (Ottosson, "A perceptual color space for image processing", 2020).

    >>> tone(1.0, 0.0, 0.0), tone(0.0, 0.0, 0.0)
    ('#ffffff', '#000000')
    """
    luminance = ((100 * lightness + 16) / 116) ** 3 if lightness > 0.08 else 100 * lightness / 903.3
    while True:
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            red, green, blue = _linear(middle, chroma, hue)
            low, high = (middle, high) if 0.2126 * red + 0.7152 * green + 0.0722 * blue < luminance else (low, middle)
        channels = _linear(high, chroma, hue)
        if chroma < 1e-3 or all(-1e-4 <= value <= 1 + 1e-4 for value in channels):
            break
        chroma *= 0.93
    parts = (min(1.0, max(0.0, value)) for value in channels)
    gamma = (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055 for value in parts)
    return "#" + "".join(f"{round(255 * value):02x}" for value in gamma)


def _linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * cos(hue * pi / 180), chroma * sin(hue * pi / 180)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def level_color(level: int, levels: int, turn: float = 0.5) -> str:
    """Return the colour of one of ``levels``, light to dark, yellow and blue in turn, as dichromats need it.

    Dark text is legible on all of them, and none is nearly white.

    Args:
        level: From 0 on.
        levels: How many there are.
        turn: From 0 to 1, moves the hue within its half, so that colours of one level are not alike.
    """
    lightness = HIGH if levels < 2 else HIGH - (HIGH - LOW) * level / (levels - 1)
    return tone(lightness, 0.12, (YELLOW, BLUE)[level % 2] + 60 * (turn - 0.5))


def own_colors(height: int, width: int, overlap: tuple[int, int]) -> list[list[str]]:
    """Return a colour of its own for every input; those whose stamps can meet differ in lightness.

    Args:
        height, width: Of the input.
        overlap: How many neighbours' stamps can meet, on each axis.

    >>> colors = own_colors(4, 4, (2, 2))
    >>> len({color for row in colors for color in row})
    16
    """
    rows, columns = (min(3, max(2, count)) for count in overlap)
    wide = -(-width // columns)
    return [
        [
            level_color(
                r % rows * columns + c % columns,
                rows * columns,
                GOLDEN * (r // rows * wide + c // columns) % 360 / 360,
            )
            for c in range(width)
        ]
        for r in range(height)
    ]


def phase_colors(count: int) -> list[str]:
    """Return a colour for each phase, light to dark."""
    return [level_color(place, count) for place in range(count)]


def shade(count: int, most: int) -> str:
    """Return the shade of a count: the more, the darker."""
    return tone(0.97 - 0.4 * count / max(1, most), 0.1 * count / max(1, most), 250)
