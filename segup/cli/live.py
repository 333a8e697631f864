"""``--live`` and ``--link``: the page that computes by itself, and the address of a question in it."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segup.atomic import atomic_write, check_free, free_or_same
from segup.cli.typed import input_size, read_pair, read_place
from segup.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from segup.explain import Explanation

FIRST = "deconv k4 s2 p1"
"""The layer of a page for which none is named."""
LARGEST_PICTURE = 80_000
"""Of what stands on the page without JavaScript, in characters."""


def run_live(options: argparse.Namespace, explained: "Callable[[argparse.Namespace], Explanation]") -> int:
    """Print the address, or write the page with the explanation that stands there without JavaScript; return 0."""
    from segup.explain.live.page import has_own_words, link_of, live_page, static_of
    from segup.shapes.text.spelling import layers_of

    options.words = options.words or [FIRST]
    words = " ".join(options.words)
    size = () if options.input is None else input_size(options.input)
    given: dict[str, Any] = {
        "at": None if options.at is None else read_place(options.at),
        "channel": options.channel,
        "out_channels": options.out_channels or 0,
        "output_size": None if options.output_size is None else read_pair(options.output_size),
    }
    link = link_of(words, size, **given)
    static: str = ""
    picture: str | None = None
    if len(layers_of(words)) == 1 and not has_own_words(words):
        try:
            explanation = explained(options)
            static = str(explanation)
            picture = explanation.picture()
            picture = picture if len(picture) <= LARGEST_PICTURE else None
            values, weights, biases = _numbers(explanation, options)
            shape = tuple(explanation.operations[0].x.shape)
            link = link_of(words, shape, **given, values=values, weights=weights, biases=biases)
        except (ShapeError, ConfigError) as reason:  # the page says the same, with buttons
            print(f"note: {reason}", file=sys.stderr)
            static = str(reason)
    if options.link:
        print(f"{options.base}{link}")
        return 0
    write_page(words, live_page(link, static_of(static, picture)), options.out or [], overwrite=options.overwrite)
    return 0


def _numbers(explanation: "Explanation", options: argparse.Namespace) -> tuple[str, str, str]:
    """Return the input's values, the weights and the biases as an address holds them; nothing for the page's own."""
    from segup.explain.live.page import spelled_values

    operation, values, weights = explanation.operations[0], "", ""
    if options.values != "ones":
        values = "arange" if options.values == "arange" else spelled_values(operation.x)
    if options.weights not in (None, "arange") and hasattr(operation, "weight"):
        weights = "ones" if options.weights == "ones" else spelled_values(operation.weight)
    bias = getattr(operation, "bias", None)
    return values, weights, "" if bias is None else spelled_values(bias)


def page_paths(out: Sequence[str], *, overwrite: bool = False) -> list[Path]:
    """Return where a live page is asked for.

    Raises:
        ConfigError: A name does not end in .html, or is taken.
    """
    named = [Path(path) for path in out]
    for path in named:
        if path.suffix.lower() != ".html":
            raise ConfigError(
                f"a live page's name ends in .html, not '{path.name}'.\n"
                f"  try: {shlex.quote(str(path.with_suffix('.html')))}."
            )
    if named and not overwrite:
        check_free(named, "another --out, or --overwrite")
    return named


def write_page(words: str, page: str, out: Sequence[str], *, overwrite: bool = False) -> None:
    """Write a live page beside others rather than over them, or where it was asked for, and say where."""
    named = page_paths(out, overwrite=overwrite)
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in words.replace("/", "_"))[:80].strip(
        "-"
    )
    for path in named or [free_or_same(Path(f"{plain}-live.html"), page.encode())]:
        atomic_write(path, page.encode())
        print(f"page: {path}")
