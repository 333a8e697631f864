"""Text in which no character means more to Markdown or LaTeX than itself."""

import re
from collections.abc import Sequence

_MARKED = re.compile(r"[\\`*<$~]|&(?=[#\w])|\](?=[(\[:])|(?<!\w)_|_(?!\w)|#+$")


def plain(text: str) -> str:
    r"""Return text in which no character means more to Markdown, or to GitHub's formulas, than itself.

    >>> print(plain("<b> a_b $x$ [c](d) *e*"))
    \<b> a_b \$x\$ [c\](d) \*e\*
    """
    return _MARKED.sub(lambda found: "".join(f"\\{sign}" for sign in found.group()), text)


def pipes(texts: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def piped(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, whose first line is its heading."""
    return "\n".join([pipes(lines[0]), f"|{'---|' * len(lines[0])}", *map(pipes, lines[1:])])


def code(text: str) -> str:
    """Return a Markdown code span; a text with backticks stands between more of them (CommonMark 0.31, 6.1).

    >>> print(code("deconv"), code("a`b"))
    `deconv` `` a`b ``
    """
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(len(run) for run in re.findall("`+", text)))
    return f"{fence} {text} {fence}"


_TEX = {
    **{sign: f"\\{sign}" for sign in "_&%$#{}"},
    "\0": "{}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": "$\\pm$",
    "−": "$-$",
    "×": "$\\times$",
    "–": "--",
    "*": "$^*$",
    "`": "\\textasciigrave{}",
    "'": "\\textquotesingle{}",
    '"': "\\textquotedbl{}",
}
_NEGATIVE = re.compile(r"(?<![\w-])-(?=\.?\d)")


def tex(text: str) -> str:
    r"""Return text in which no character means more to LaTeX than itself.

    >>> print(tex("a_b & 50% ± {c}"))
    a\_b \& 50\% $\pm$ \{c\}
    >>> print(tex("lr=-0.002, one-cycle"))
    lr=$-$0.002, one-cycle
    """
    apart = text.replace("--", "-\0-").replace("--", "-\0-")  # two hyphens would be one dash
    return "".join(_TEX.get(sign, sign) for sign in _NEGATIVE.sub("−", apart))
