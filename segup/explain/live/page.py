"""The live page, put together from its parts: one file that asks nothing of the network."""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote_plus

from segup.errors import ShapeError
from segup.explain.language import read_words
from segup.explain.numbers import Array, plain
from segup.shapes.text.spelling import layers_of

SCRIPTS = ("arithmetic.js", "code.js", "parts.js", "page.js")
MOST = 64
"""Sizes and channels that the page computes; an address that asks for more is moved to it."""
MOST_NUMBERS = 4096
"""So many numbers an address holds."""
ENTRY_HASH = "#v1:"
_OWN = (
    r"\b(zeros|reflect|replicate|circular|align_corners|area|nopad|div[0-9]+|to\s*[0-9]+(x[0-9]+)?)\b"
    r"|(?<=\bp)([0-9]+:[0-9]+)(x[0-9]+:[0-9]+)?"
)
"""What the page's words say beyond those of ``segup explain``: padding side by side, what fills it, a size to reach."""


def live_page(link: str = "", static: str = "") -> str:
    """Return the page.

    Args:
        link: What it opens with, of :func:`link_of`; by default a transposed convolution.
        static: What stands there without JavaScript, as markup.
    """
    return _assembled("What a layer does to every pixel", "page.html", ("page.css",), SCRIPTS, link, static)


def model_page(title: str, data: Mapping[str, Any], static: str = "") -> str:
    """Return the page of a whole model.

    Args:
        title: What the model is called.
        data: Of ``segup.inspection.model_map``.
        static: What stands there without JavaScript, as markup.
    """
    styles, scripts = ("page.css", "model.css"), ("parts.js", "model.js")
    return _assembled(f"Every size in {title}", "model.html", styles, scripts, data, static)


def _assembled(title: str, body: str, styles: Sequence[str], scripts: Sequence[str], start: object, static: str) -> str:
    """Return one file of its parts, with what it starts from."""

    def text(*names: str) -> str:
        return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)

    filled = {
        "title": escape(title),
        "style": text(*styles),
        "static": static or "<p>This page computes with JavaScript, which is off here.</p>",
        "body": text(body),
        "start": json.dumps(start, separators=(",", ":")).replace("<", "\\u003c"),
        "script": text(*scripts).replace("</script", "<\\/script"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: filled[slot[1]], text("shell.html"))


def link_of(
    words: str,
    size: tuple[int, ...] = (),
    *,
    at: tuple[int, int] | None = None,
    channel: int = 0,
    out_channels: int = 0,
    output_size: tuple[int, int] | None = None,
    values: str = "",
    weights: str = "",
    biases: str = "",
) -> str:
    """Return the address of a question, ``#v1:…``: what the live page opens with.

    Args:
        words: One layer, or several with commas between them.
        size: (height, width), or (channels, height, width); 4×4 by default.
        at: (row, column) of the output entry that is pinned.
        channel: Of that entry.
        out_channels: Of a conv or deconv; by default its groups.
        output_size: The size that a deconv must reach.
        values, weights, biases: Of the input, the weights and the outputs, as :func:`spelled_values` writes them;
            ones, 1, 2, 3, …, and none by default.

    Raises:
        ShapeError: A layer cannot be read.

    >>> link_of("deconv k4 s2 p1", at=(0, 1))
    '#v1:l=deconv+k4+s2+p1&i=1x4x4&at=0,1'
    >>> link_of("deconv k3 s2 p1", (6, 6), output_size=(12, 12))
    '#v1:l=deconv+k3+s2+p1+to+12x12&i=1x6x6'
    """
    channels = 1
    for place, part in enumerate(layers_of(words)):
        plain = re.sub(_OWN, lambda own: own[3].partition(":")[0] if own[3] else "", part)
        plain = re.sub(r"^(\s*)pixel_unshuffle", r"\1pixel_shuffle", plain)
        scaled = "resize" not in part or re.search(r"[0-9]", plain) is not None
        found = read_words(plain if scaled else f"{plain} x2")
        if place == 0:
            channels = int(found.given.get("groups", 1))
            if found.kind == "pixel_shuffle" and "unshuffle" not in part:
                channels = int(found.given["upscale_factor"]) ** 2
    if output_size is not None:
        words = f"{words} to {output_size[0]}x{output_size[1]}"
    asked = size or (4, 4)
    shape = asked if len(asked) == 3 else (channels, *asked)
    parts = [f"l={quote_plus(words)}", f"i={'x'.join(map(str, shape))}"]
    parts += [f"o={out_channels}"] if out_channels else []
    parts += [f"x={values}"] if values else []
    parts += [f"w={weights}"] if weights else []
    parts += [f"b={biases}"] if biases else []
    parts += [f"at={at[0]},{at[1]}"] if at is not None else []
    parts += [f"c={channel}"] if channel else []
    return ENTRY_HASH + "&".join(parts)


def spelled_values(array: Array) -> str:
    """Return an image or a weight as an address holds it: columns, rows, maps and blocks of maps.

    Raises:
        ShapeError: There are more numbers than an address holds.

    >>> import numpy as np
    >>> spelled_values(np.array([[[1, 2.5], [3, 4]]]))
    '1,2.5;3,4'
    """
    if array.size > MOST_NUMBERS:
        raise ShapeError(f"an address holds {MOST_NUMBERS} numbers, not {array.size}.\n  try: --values random.")
    if array.ndim > 1:
        return {2: ";", 3: "|", 4: "~"}[array.ndim].join(map(spelled_values, array))
    return ",".join(repr(plain(value)) for value in array)


def has_own_words(words: str) -> bool:
    """Return whether the words say what only the page computes.

    >>> has_own_words("conv k3 p1:2"), has_own_words("conv k3 p1")
    (True, False)
    """
    return re.search(_OWN, words) is not None or "unshuffle" in words


def static_of(text: str, picture: str | None = None, title: str = "What a layer does") -> str:
    r"""Return what stands on the page without JavaScript: the explanation in words, and its picture.

    >>> static_of("a < b")
    '<h1>What a layer does</h1>\n<pre>a &lt; b</pre>'
    """
    return f"<h1>{escape(title)}</h1>\n<pre>{escape(text)}</pre>" + (f"\n{picture}" if picture else "")
