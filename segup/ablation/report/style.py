"""How a row looks in every figure: told apart by colour, and in grey by marker, dashes and hatching."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Okabe & Ito, "Color Universal Design" (2008), without the yellow that white paper swallows.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#111111")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "d", "h")
_DASHES: tuple[Any, ...] = (
    "-", (0, (5, 1.6)), (0, (1, 1.3)), (0, (5, 1.4, 1, 1.4)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2.2)),
)  # fmt: skip
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++", "oo", "||||", "//..", "xx..", "--..")
INK, FAINT = "#222222", "#8a8a8a"

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollars
    "axes.labelcolor": INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "segup",  # the same figure is the same file
}


@dataclass(frozen=True)
class RowStyle:
    """Colour, marker, dashes and hatching of one row."""

    color: str
    marker: str
    dashes: Any
    hatch: str

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of a line."""
        return {"color": self.color, "linestyle": self.dashes}

    @property
    def points(self) -> dict[str, Any]:
        """Keywords of a line with markers."""
        return {**self.line, "marker": self.marker, "markeredgecolor": "white", "markeredgewidth": 0.5}

    @property
    def bar(self) -> dict[str, Any]:
        """Keywords of a bar."""
        return {"facecolor": self.color, "edgecolor": "white", "hatch": self.hatch, "linewidth": 0.5}


def looks(names: Sequence[str]) -> dict[str, RowStyle]:
    """Return a look for each name; no two of the first 49 share both colour and dashes.

    >>> found = looks(["deconv", "bilinear"])
    >>> found["deconv"].color, found["bilinear"].marker
    ('#0072b2', 's')
    """
    return {
        name: RowStyle(
            _COLORS[place % len(_COLORS)],
            _MARKERS[place % len(_MARKERS)],
            _DASHES[(place + place // len(_COLORS)) % len(_DASHES)],
            _HATCHES[place % len(_HATCHES)],
        )
        for place, name in enumerate(names)
    }


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, in the report's style where it is made inside :func:`styled`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def styled() -> Any:
    """Return the context in which figures are made and saved: matplotlib's defaults and the report's settings.

    A person's own matplotlibrc does not change a report.
    """
    from matplotlib import rcParamsDefault

    settings: dict[Any, Any] = {**rcParamsDefault, **SETTINGS}
    for key in ("backend", "backend_fallback"):
        del settings[key]
    return rc_context(settings)


@contextmanager
def of_row(axes: Any, name: str, shown: Mapping[str, RowStyle]) -> Iterator[None]:
    """Mark what is drawn inside as a row's: the groups ``row-<place>-…`` of the SVG, which a page can switch off."""
    before = set(axes.get_children())
    yield
    place = list(shown).index(name)
    for child in axes.get_children():
        if child not in before:
            child.set_gid(f"row-{place}-{len(before)}")
            before.add(child)


def inline(content: bytes, text: str) -> str:
    """Return an SVG as a part of a page: without its prologue, with a text in its place for who does not see it.

    Args:
        content: The file.
        text: The text, escaped.
    """
    whole = content.decode()
    whole = re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    return whole.replace("<svg", f'<svg role="img" aria-label="{text}"', 1)


def legend_below(figure: Figure, shown: Mapping[str, RowStyle], kind: str = "points", columns: int = 4) -> None:
    """Put one legend for all axes under them: ``kind`` is points (lines with markers), lines, markers or bars."""
    from matplotlib.patches import Patch

    bare: dict[str, Any] = {"linewidth": 0, "markersize": 7} if kind == "markers" else {}
    handles: list[Any] = [
        Patch(label=name, **look.bar)
        if kind == "bars"
        else Line2D([], [], label=name, **look.line if kind == "lines" else look.points, **bare)
        for name, look in shown.items()
    ]
    longest = max((len(name) for name in shown), default=1)
    fitting = max(1, int(figure.get_figwidth() * 11 / (longest + 6)))
    length = 1.2 if kind == "markers" else 3.2
    count = min(columns, fitting, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=count, handlelength=length)


def png(figure: Figure, dpi: int = 150) -> bytes:
    """Return a figure as PNG, with nothing in it of when it was made."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, its letters drawn as shapes, with nothing in it of when it was made."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


_AT_NIGHT = {
    "#222222": "#e6e8ea",
    "#333333": "#cfd4d9",
    "#555555": "#7d8791",
    "#dddddd": "#343a42",
    "#111111": "#f2f2f2",
    "#0072b2": "#3d9fdf",
    "#d55e00": "#f07c22",
    "#009e73": "#1fb98c",
}


def in_both_schemes(content: bytes) -> bytes:
    """Return an SVG of :func:`svg` that follows the page it is shown in: ink turns light where that is dark.

    Only for a page that has a background for both: alone, the same file would be light ink on white.
    """
    rules = "".join(
        f'[style*="{kind}: {day}"]{{{kind}:{night}!important}}'
        for day, night in _AT_NIGHT.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    head, tag, rest = content.partition(b"<defs>")
    return head + tag + style.encode() + rest


def laid_out(figure: Figure) -> Figure:
    """Return the figure with everything in its place for good, so that saving it twice lays it out once."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    return figure
