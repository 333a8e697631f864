"""``segup explain``: what one layer does to every pixel, in numbers and in pictures."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from segup.atomic import atomic_write, check_free, free_or_same
from segup.cli.help_text import argument, command
from segup.cli.shapes import WRONG
from segup.cli.typed import input_size, read_pair, read_place
from segup.errors import ConfigError, DataError, SegupError, ShapeError, refusals_named

if TYPE_CHECKING:
    from segup.explain import Explanation

_EPILOG = """\
layers, in the language of segup shapes, with torch's defaults:
  deconv k4 s2 p1        kernel, stride, padding; also d dilation, op output padding, g groups
  conv k3 s2 p1          also psame, pvalid
  pool k3 s2 p1 ceil     also d; max, or avg if given
  resize x2, resize x3/2 nearest, pixel_shuffle x2, carafe x2 k5
  k3x1                   height by width, for all of these

examples:
  segup explain "deconv k4 s2 p1" --input 4x4 --at 0,1
  segup explain "deconv k2 s2 p1" --values "[[2,4],[0,1]]" --weights "[[3,1],[1,5]]" --out deconv.html
  segup explain "conv k3 s2" --input 8x8 --values arange --unread
  segup explain "deconv k3 s2 p1" --input 6x6 --output-size 12x12 --view all --out up.svg
  segup explain "conv k3" --input 3x6x6 --out-channels 2 --values random
  segup explain --live "conv k3 s2 p1" --input 8x8 --out layer.html
  segup explain --link "deconv k4 s2 p1" --at 0,1

Rows, columns and channels count from 0. Whole numbers stay exact.
"""


def run(arguments: list[str]) -> int:
    """Print and draw what the arguments ask for; return 0, 2 where they break a rule, 1 where a file cannot be used."""
    options = _parser().parse_args(_with_places(arguments))
    try:
        with refusals_named():
            if options.live or options.link:
                from segup.cli.live import run_live

                return run_live(options, _explained)
            explanation = _explained(options)
            at = None if options.at is None else read_place(options.at)

            from segup.cli.explain_report import print_report

            print_report(explanation, at=at, channel=options.channel, unread=options.unread)
            return _draw(explanation, options, at)
    except SegupError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1 if isinstance(error, DataError) else WRONG


def _with_places(arguments: list[str]) -> list[str]:
    """Return the arguments with a place such as -1,0 joined to its --at, lest it be taken for an option.

    >>> _with_places(["conv k3", "--at", "-1,0", "--unread"])
    ['conv k3', '--at=-1,0', '--unread']
    """
    joined: list[str] = []
    for word in arguments:
        if joined[-1:] == ["--at"] and word[:1] == "-" and word[1:2].isdecimal():
            joined[-1] = f"--at={word}"
        else:
            joined.append(word)
    return joined


def _parser() -> argparse.ArgumentParser:
    numbers = "ones, arange (1, 2, 3, …), random, numbers such as [[1,2],[3,4]], or a .npy, .json, .csv or .txt file"
    return command(
        "explain",
        "Show what a layer does to every pixel: formula, steps, numbers, and a picture of them.",
        _EPILOG,
        argument("words", nargs="*", metavar="LAYER", help="one layer; with --live or --link also several"),
        argument("--input", metavar="SIZE", help="size of the input: 4x4, or channels first: 3x6x6"),
        argument(
            "--out-channels",
            type=int,
            metavar="N",
            help="channels of a conv's or deconv's output (default: its groups)",
        ),
        argument("--values", default="ones", metavar="X", help=f"the input: {numbers} (default: ones)"),
        argument(
            "--weights",
            metavar="W",
            help="the weights, likewise, in torch's shape (default: arange; for carafe, random logits)",
        ),
        argument("--bias", metavar="B", help="the biases, likewise, one for each output channel (default: none)"),
        argument("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)"),
        argument("--output-size", metavar="SIZE", help="the size that a deconv must reach, torch's output_size"),
        argument("--at", metavar="ROW,COLUMN", help="one entry of the output: show what goes into it"),
        argument("--channel", type=int, default=0, metavar="C", help="the output channel (default: 0)"),
        argument(
            "--unread",
            action="store_true",
            help="show the pixels that are never read, and what one more pixel would change",
        ),
        argument(
            "--view",
            metavar="VIEW",
            help="view of the picture: scatter, zero_insertion, gradient, subpixel, overlap, … or all",
        ),
        argument(
            "--out",
            action="append",
            type=Path,
            metavar="FILE",
            help="a picture: .svg, .png, .gif, or .html with every view (default: LAYER-SIZE.svg here, with a number "
            "if that is another picture); may be repeated",
        ),
        argument("--overwrite", action="store_true", help="replace the file of --out, which is refused otherwise"),
        argument("--no-picture", action="store_true", help="print numbers only"),
        argument(
            "--live",
            action="store_true",
            help="write a page that computes by itself, with sliders, in place of all else (default: LAYER-live.html "
            "here)",
        ),
        argument("--link", action="store_true", help="print the address of this question in the live page"),
        argument("--base", default="", metavar="URL", help="what stands before the address of --link"),
        usage='"LAYER" [--input SIZE] [--values ...] [--weights ...] [--at ROW,COLUMN] [--out FILE] ...',
    )


def _explained(options: argparse.Namespace) -> "Explanation":
    """Build the layer with its numbers; what has no size of its own is 4×4."""
    from segup.explain.drawing.files import ending
    from segup.explain.language import read_words

    words = read_words(" ".join(options.words))
    for path in options.out or []:
        ending(path)
    import torch

    from segup.explain import explain
    from segup.explain.modules import weight_shape
    from segup.explain.values import given, is_given, numbers

    size = None if options.input is None else input_size(options.input)
    channels = words.given.get("groups", 1)
    if words.kind == "pixel_shuffle":
        channels = int(words.given["upscale_factor"]) ** 2
    if is_given(options.values) and size is None:
        found = given(options.values, "values")
        while found.ndim > 3 and found.shape[0] == 1:  # one image of a batch, as torch keeps it
            found = found[0]
        if found.ndim not in (2, 3):
            raise ShapeError(f"values must be rows and columns, or channels of them, not of {found.ndim} dimensions.")
        x = found.reshape((1,) * (3 - found.ndim) + found.shape)
    else:
        if size is None:
            size = (4, 4)
        shape = size if len(size) == 3 else (channels, *size)
        x = numbers(options.values, "values", shape, options.seed)
    out_channels = words.given.get("groups", 1) if options.out_channels is None else options.out_channels
    if options.out_channels is not None and words.kind not in ("conv", "deconv"):
        raise ShapeError(f"--out-channels is for a conv or deconv; '{words.text}' leaves no choice.")
    if out_channels < 1:
        raise ShapeError(f"--out-channels must be at least 1, not {out_channels}.")
    shape_of_weight = weight_shape(words, x.shape[0], out_channels, (x.shape[1], x.shape[2]))
    weight = bias = None
    if shape_of_weight is not None:
        chosen = ("random" if words.kind == "carafe" else "arange") if options.weights is None else options.weights
        low, high = (-2, 2) if words.kind == "carafe" else (-3, 3)
        weight = torch.from_numpy(numbers(chosen, "weights", shape_of_weight, options.seed + 1, low, high))
    elif options.weights is not None:
        raise ShapeError(f"'{words.text}' has no weights.")
    if options.bias is not None:
        bias = torch.from_numpy(numbers(options.bias, "bias", (out_channels,), options.seed + 2, -3, 3))
    reach = None if options.output_size is None else read_pair(options.output_size)
    return explain(words.text, torch.from_numpy(x), reach, weight=weight, bias=bias)


def _draw(explanation: "Explanation", options: argparse.Namespace, at: tuple[int, int] | None) -> int:
    """Write the pictures that were asked for and return the exit code."""
    if options.no_picture:
        return 0
    if options.view not in (None, "all", *explanation.views):
        from segup.errors import unknown

        raise ConfigError(unknown("view", options.view, [*explanation.views, "all"]))
    from segup.explain.views import UnreadableError

    _, height, width = explanation.operations[0].x.shape
    named = f"{explanation.words.replace(' ', '-').replace('/', '_')}-{height}x{width}.svg"
    code = 0
    paths = options.out or [Path(named)]
    targets = [target for path in paths for target in _targets(explanation, path, options.view)]
    if options.out and not options.overwrite:
        check_free([target for target, _ in targets], "another --out, or --overwrite")
    for target, view in targets:
        try:
            if options.out:
                where = explanation.save(target, view, at=at, channel=options.channel, replace=options.overwrite)
            else:
                where = _drawn_here(explanation, target, view, at, options.channel)
            print(f"picture: {where}")
        except UnreadableError as error:  # of several views, the others may be readable
            said = error.with_way(_smaller(explanation, options, error.size)) if error.size else str(error)
            print(f"{'ShapeError' if options.out else 'no picture'}: {said}", file=sys.stderr)
            code = WRONG if options.out else 0  # nobody asked for the other one by name
    return code


def _smaller(explanation: "Explanation", options: argparse.Namespace, size: tuple[int, int]) -> str:
    """Return how a person who typed these options gets an input of ``size``."""
    from segup.explain.values import is_given

    high, wide = size
    if is_given(options.values):
        way = f"--values with the first {high} rows and {wide} columns alone"
    else:
        channels = explanation.operations[0].x.shape[0]
        way = f"--input {'' if channels == 1 else f'{channels}x'}{high}x{wide}"
    if options.output_size is not None:
        way = f'"{explanation.words}" {way} without --output-size'
    if explanation.words.startswith("carafe") and options.weights is not None and is_given(options.weights):
        way += ", and --weights for it"
    return way


def _drawn_here(
    explanation: "Explanation", path: Path, view: str | None, at: tuple[int, int] | None, channel: int
) -> Path:
    """Write a picture that nobody named, beside others rather than over them, and return where it is."""
    from segup.explain.drawing.files import svg_text

    picture = svg_text(explanation.story(view, at=at, channel=channel)).encode()
    free = free_or_same(path, picture)
    atomic_write(free, picture)  # nothing, or these very bytes, is there
    return free


def _targets(explanation: "Explanation", path: Path, view: str | None) -> list[tuple[Path, str | None]]:
    """Return the files to write and the view of each; a page holds every view itself."""
    if view != "all" or path.suffix.lower() == ".html":
        return [(path, None if view == "all" else view)]
    return [(path.with_name(f"{path.stem}-{name}{path.suffix}"), name) for name in explanation.views]
