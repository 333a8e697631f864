"""How a command's parser begins, and how its ``--help`` is laid out."""

import argparse
import textwrap
from itertools import groupby


def command(name: str, description: str, epilog: str, usage: str | None = None) -> argparse.ArgumentParser:
    r"""Return the parser of ``segup NAME``, to which its arguments are added.

    >>> command("shapes", "Show sizes.", "", '"LAYERS" [SIZE]').format_usage()
    'usage: segup shapes "LAYERS" [SIZE]\n'
    """
    prog = f"segup {name}"
    usage = None if usage is None else f"{prog} {usage}"
    return argparse.ArgumentParser(prog, usage, description, epilog, formatter_class=HelpFormatter)


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
