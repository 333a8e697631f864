"""How a command's parser begins, and how its ``--help`` is laid out."""

import argparse
import textwrap
from collections.abc import Callable
from itertools import groupby
from typing import Any

Argument = Callable[[Any], object]
"""Adds itself to a parser, or to a group of one."""


def argument(*names: str, **options: Any) -> Argument:
    """Return an argument of a command, from what argparse's ``add_argument`` takes."""
    return lambda parser: parser.add_argument(*names, **options)


def either(*arguments: Argument) -> Argument:
    """Return arguments of which one alone may be given."""

    def add(parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        for one in arguments:
            one(group)

    return add


def command(
    name: str, description: str, epilog: str, *arguments: Argument, usage: str | None = None
) -> argparse.ArgumentParser:
    r"""Return the parser of ``segup NAME`` with its arguments.

    >>> command("shapes", "Show sizes.", "", usage='"LAYERS" [SIZE]').format_usage()
    'usage: segup shapes "LAYERS" [SIZE]\n'
    """
    prog = f"segup {name}"
    usage = None if usage is None else f"{prog} {usage}"
    parser = argparse.ArgumentParser(prog, usage, description, epilog, formatter_class=HelpFormatter)
    for add in arguments:
        add(parser)
    return parser


class HelpFormatter(argparse.HelpFormatter):
    r"""Argparse's, but paragraphs stay paragraphs and indented lines, such as examples, stay as they are.

    >>> text = "one two three four\nfive six\n  segup  as it is\n\nlast"
    >>> print(HelpFormatter("segup")._fill_text(text, 14, ""))
    one two three
    four five six
      segup  as it is
    <BLANKLINE>
    last
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for prose, block in groupby(text.splitlines(), key=lambda line: bool(line) and not line[0].isspace()):
            kept = list(block)
            lines += textwrap.wrap(" ".join(kept), width) if prose else kept
        return "\n".join(indent + line for line in lines)
