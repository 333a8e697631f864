"""``segup shapes``: the sizes of a chain of layers, and what is proved about them. Loads no torch."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import argument, command
from segup.cli.typed import read_size
from segup.errors import ShapeError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from segup.shapes import Proof, Report
    from segup.shapes.arguments import Size

WRONG = 2
_EPILOG = """\
layers, separated by commas, with torch's defaults:
  conv k3 s2 p1          kernel, stride, padding; also d dilation, g groups, psame, pvalid
  pool k3 s2 p1 ceil     also d; the stride is k unless s is given
  deconv k4 s2 p1        also op output padding, d, g
  resize x2, resize x3/2 nearest, pixel_shuffle x2
  k3x1                   height by width, for all of these

examples:
  segup shapes "conv k3 s2 p1" 417
  segup shapes "conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2, deconv k2 s2" 360x480
  segup shapes "conv k3 s2 p1, conv k3 s2 p1, deconv k3 s2 p1, deconv k3 s2 p1" 416 --matched
  segup shapes "deconv k3 s2 p1" 209 --output-size 418
  segup shapes "conv k3 s2 p1, deconv k4 s2 p1"          (what holds for all sizes)

The way up begins with the first deconv, pixel_shuffle or enlarging resize. Each of its stages must reach the size that
the stage it undoes was given, like a skip. A larger result is cut at the end, a smaller result is extended at the end,
and the table says by how much. Positions count from 0, in pixels.

The keys of --json are described at segup.shapes.Report.as_dict.
"""


def run(arguments: list[str]) -> int:
    """Print what the arguments ask for and return the exit code: 0, or 2 where layers or sizes break a rule."""
    options = _parser().parse_args(arguments)
    try:
        layers, size = split_words(options.words)
        report = _report(layers, size, options)
    except ShapeError as error:
        print(f"ShapeError: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG
    if options.live:
        return _live(report, options)
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    return 0


def _live(report: "Report", options: argparse.Namespace) -> int:
    """Write the live page of the chain."""
    from segup.cli.live import write_page
    from segup.explain.live.page import link_of, live_page, static_of
    from segup.shapes.arguments import height_width

    size = (16, 16) if report.size is None else height_width(report.size)
    link = link_of(str(report.layers), (1, *size)) + ("&m=1" if options.matched else "")
    write_page(str(report.layers), live_page(link, static_of(str(report))), [])
    return 0


def split_words(words: list[str]) -> "tuple[str, Size | None]":
    """Return the layers' words and the size, which is what does not begin with a letter at the end.

    >>> split_words(["conv k3 s2 p1, pool k2", "417"]), split_words(["conv", "k3", "360x480"])
    (('conv k3 s2 p1, pool k2', 417), ('conv k3', (360, 480)))
    """
    count = next((place for place, word in enumerate(words) if word.strip() and not word[:1].isalpha()), len(words))
    return " ".join(words[:count]), read_size(words[count:]) if words[count:] else None


def _parser() -> argparse.ArgumentParser:
    return command(
        "shapes",
        "Show every size, residue and unread pixel of a chain of layers, and what is proved for all sizes.",
        _EPILOG,
        argument("words", nargs="+", metavar="LAYERS [SIZE]", help="layers, then the size of the input"),
        argument(
            "--matched",
            action="store_true",
            help="give each transposed convolution its size, torch's output_size, so that nothing is corrected",
        ),
        argument("--output-size", metavar="SIZE", help="the last size, instead of the input's size; implies --matched"),
        argument("--json", action="store_true", help="print plain values for programs"),
        argument("--live", action="store_true", help="write a page in which the sizes follow a slider"),
        usage='"LAYERS" [SIZE] [--matched] [--output-size SIZE] [--json] [--live]',
    )


def _report(words: str, size: "Size | None", options: argparse.Namespace) -> "Report":
    from segup.shapes import Chain, chain_report, parse

    layers = Chain(parse(words))
    end = None if options.output_size is None else read_size([options.output_size])
    if size is None and (options.matched or end is not None):
        raise ShapeError("--matched and --output-size need the input's size: give it after the layers.")
    if isinstance(size, int) and layers.axes[0] != layers.axes[1]:
        size = (size, size)
    return chain_report(layers, size, matched=options.matched or end is not None, out=end)


def _print(report: "Report") -> None:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not terminal, width=None if terminal else 1000)
    if report.ladder is not None:
        console.print(_table(report))
        console.print()
        for rung in report.ladder.rungs:
            for note in rung.notes():
                console.print(f"{rung.way} {rung.stage}, {rung.layer}: {note}.")
    for note in report.notes():
        console.print(note)
    for about, proof in report.proofs:
        console.print()
        _print_verdict(console, about, proof, report)
    for reason in dict.fromkeys(reason for _, proof in report.proofs for reason in proof.reasons()):
        console.print(f"\n{reason}", style="dim")
    for remark in report.remarks:
        console.print(f"\n{' '.join(remark.split())}", style="yellow")


def _table(report: "Report") -> "Table":
    from rich import box
    from rich.table import Table

    from segup.shapes.arguments import shown

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    rungs = report.ladder.rungs if report.ladder is not None else ()
    columns = {
        "": [f"{rung.way} {rung.stage}" for rung in rungs],
        "layer": [rung.layer for rung in rungs],
        "in": [shown(rung.size) for rung in rungs],
        "out": [shown(rung.out) for rung in rungs],
        "fitted to": ["" if rung.out == rung.target else shown(rung.target) for rung in rungs],
        "residue": [shown(rung.residue) for rung in rungs],
        "unread": [shown(_counts(rung.unread)) for rung in rungs],
    }
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    for name, cells in kept.items():  # where the terminal is narrow, the layer's words take several lines
        table.add_column(
            name,
            justify="left" if name in ("", "layer") else "right",
            min_width=None if name == "layer" else max(map(len, (name, *cells))),
            style="yellow" if name == "fitted to" else None,
        )
    turn = sum(rung.way == "down" for rung in rungs) - 1
    for place, row in enumerate(zip(*kept.values(), strict=True)):
        table.add_row(*row, end_section=place == turn < len(rungs) - 1)
    return table


def _print_verdict(console: "Console", about: str, proof: "Proof", report: "Report") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from segup.shapes.arguments import shown

    mark, style = ("✓", "green") if proof.always else ("✗", "red") if proof.never else ("~", "yellow")
    console.print(Text.assemble((f"{mark} {about[0].upper()}{about[1:]}", f"bold {style}")))
    lines = [line.strip() for verdict in proof.verdicts() for line in verdict]
    nearest = report.nearest(proof)
    if nearest is not None:
        sizes = [size for size in nearest if size is not None and (isinstance(size, int) or None not in size)]
        found = " and ".join(map(shown, sizes))
        lines.append(f"Not for {shown(report.size)}; the nearest sizes for which it holds: {found or 'none'}.")
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def _counts(unread: Any) -> Any:
    if isinstance(unread, tuple):
        return tuple(map(len, unread))
    return None if unread is None else len(unread)
