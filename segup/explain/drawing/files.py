"""Pictures written to files: SVG and PNG stills, GIF animations, pages."""

import shlex
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from segup.atomic import atomic_write
from segup.errors import ConfigError
from segup.explain.drawing.compose import compose, plan
from segup.explain.drawing.page import page
from segup.explain.drawing.raster import raster
from segup.explain.drawing.story import Story
from segup.explain.drawing.svg import svg

STILLS, ANIMATIONS = (".svg", ".png"), (".gif", ".html")
ENDINGS = (*STILLS, *ANIMATIONS)
COLORS = 128
LONGEST, QUICKEST, SLOWEST, LAST = 40_000, 120, 900, 2500
"""Of a GIF, in milliseconds: the whole, the shortest and the longest step, and how long the last one stays."""
LARGEST_GIF = 2**20
SMALLER = ((1, 1), (2, 1), (3, 1), (4, 0.75), (6, 0.75), (8, 0.5), (16, 0.5), (32, 0.4))
"""Until a GIF is small enough: every how many steps are kept, and how large a frame is."""


def ending(path: Path) -> str:
    """Return a picture's file ending.

    Raises:
        ConfigError: It is none of those that can be written.
    """
    if not path.name.strip():
        raise ConfigError("a picture's name is empty.\n  try: layer.svg.")
    found = path.suffix.lower()
    if found not in ENDINGS:
        raise ConfigError(
            f"a picture's name ends in {', '.join(ENDINGS)}, and '{path}' in {repr(found) if found else 'none'}.\n"
            f"  try: {shlex.quote(str(path.with_suffix('.svg')))}."
        )
    return found


def save(
    path: Path, stories: Sequence[Story], left_out: Sequence[str] = (), replace: bool = True, finished: bool = False
) -> Path:
    """Write stories, one unless it is a page, whole or not at all, and return the path; ``finished`` is a page's.

    Raises:
        ConfigError: Another ending; or there is a file that is not to be replaced.
        DataError: The file cannot be written.
    """
    kind = ending(path)
    content = {
        ".svg": lambda: svg_text(stories[0]).encode(),
        ".png": lambda: png(stories[0]),
        ".gif": lambda: gif(stories[0]),
        ".html": lambda: page(stories, left_out, finished).encode(),
    }[kind]()
    atomic_write(path, content, replace=replace)
    return path


def svg_text(story: Story) -> str:
    """Return the still as SVG."""
    return svg(compose(story, story.still, plan(story, [story.still])))


def png(story: Story) -> bytes:
    """Return the still as a PNG of twice its size in pixels."""
    buffer = BytesIO()
    raster(compose(story, story.still, plan(story, [story.still]))).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def gif(story: Story) -> bytes:
    """Return the steps as an animation that repeats: all of them, or so many and so large as fit in 1 MB."""
    shared = plan(story, story.steps)
    frames = [raster(compose(story, step, shared), 1) for step in story.steps]
    for every, share in SMALLER:
        made = _animated([_shrunk(frame, share) for frame in frames[::-1][::every][::-1]])  # the last one always
        if len(made) <= LARGEST_GIF:
            break
    return made


def _shrunk(frame: Image.Image, share: float) -> Image.Image:
    if share == 1:
        return frame
    return frame.resize((max(1, round(frame.width * share)), max(1, round(frame.height * share))), Image.Resampling.BOX)


def _animated(frames: Sequence[Image.Image]) -> bytes:
    step = max(QUICKEST, min(SLOWEST, LONGEST // len(frames)))
    # One palette for all frames, so that a colour stays the same colour from step to step.
    colors = frames[-1].quantize(COLORS)
    table = colors.getpalette() or []
    lightest = max(range(0, len(table), 3), key=lambda at: sum(table[at : at + 3]))
    colors.putpalette([*table[:lightest], 255, 255, 255, *table[lightest + 3 :]])  # paper stays white
    small = [frame.quantize(palette=colors, dither=Image.Dither.NONE) for frame in frames]
    buffer = BytesIO()
    durations = [step] * (len(small) - 1) + [LAST]
    small[0].save(buffer, "GIF", save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=False)
    return buffer.getvalue()
