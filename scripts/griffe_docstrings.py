"""How mkdocstrings reads segup's docstrings: doctests as blocks of code, and Sphinx roles as code."""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:mod|class|func|meth|attr|data):`~?([^`]+)`")
DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)


class MarkdownDocstrings(Extension):
    """Rewrite each docstring as Markdown before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of ``obj``, if it has one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    r"""Return ``docstring`` as Markdown: its doctests fenced, without Sphinx's roles and double colons.

    >>> as_markdown(":func:`ladder` says it::\n\n>>> 1 + 1\n2").splitlines()
    ['`ladder` says it:', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    plain = re.sub(r"::$", ":", ROLE.sub(r"`\1`", docstring), flags=re.MULTILINE)  # what follows is indented anyway
    return DOCTEST.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", plain)
