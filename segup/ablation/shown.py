"""A run's files as one view: its scores, ladder, curves and predictions, as text or as HTML for a notebook."""

import sys
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path

PICTURES = ("curves.png", "predictions.png")


def as_text(folder: Path, title: str, scores: Mapping[str, float | None]) -> str:
    """Return what a terminal shows: ladder, scores, and where the pictures are."""
    lines = [f"{name:<{max(map(len, scores))}}  {_number(value)}" for name, value in scores.items()]
    pictures = [str(folder / name) for name in PICTURES if (folder / name).is_file()]
    return "\n".join([title, *_ladder(folder), *lines, *pictures])


def as_html(folder: Path, title: str, scores: Mapping[str, float | None]) -> str:
    """Return what a notebook shows: the same with the pictures in it."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{_number(value)}</td></tr>" for name, value in scores.items())
    pictures = "".join(_picture(file) for name in PICTURES if (file := folder / name).is_file())
    ladder = "".join(f"<pre>{escape(text)}</pre>" for text in _ladder(folder))
    return f"<div><p><b>{escape(title)}</b></p><table>{rows}</table>{pictures}{ladder}</div>"


def show(text: str, html: str) -> None:
    """Show in a notebook as HTML, elsewhere print the text."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import HTML, display

        display(HTML(html))
    else:
        print(text)


def _picture(file: Path) -> str:
    content = b64encode(file.read_bytes()).decode()
    return f'<p><img alt="{file.stem}" style="max-width:100%" src="data:image/png;base64,{content}"></p>'


def _ladder(folder: Path) -> list[str]:
    file = folder / "ladder.txt"
    return [file.read_text(encoding="utf-8").rstrip()] if file.is_file() else []


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
