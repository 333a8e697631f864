"""What ``mkdocs build`` does beyond its plugins: pages from outside ``docs/``, and a check that none needs the network.

Links are written for the repository. Those that leave ``docs/`` are rewritten to where the same file is on the site.
"""

import posixpath
import re
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "data/cells/README.md": "cells.md",
    "data/cells/LICENSE": "cells-licence.txt",
}
"""Files outside ``docs/`` that are on the site, and where."""
LIVE = "live-page.html"
"""Where ``segup explain --live`` is on the site."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside ``docs/``, and the live page."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, LIVE, content=live_page()))
    return files


def live_page() -> str:
    """Return the page that computes by itself, as the code of this checkout makes it."""
    sys.path.insert(0, str(ROOT))
    try:
        return import_module("segup.explain.live.page").live_page()
    finally:
        sys.path.remove(str(ROOT))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point the links of a page at files of the site."""
    return relink(markdown, page.file.src_uri)


def on_post_build(config: Any) -> None:
    """Refuse a site that needs the network."""
    from mkdocs.exceptions import PluginError

    for file in Path(config.site_dir).rglob("*.*"):
        if file.suffix in (".html", ".css"):
            text = file.read_text(encoding="utf-8")
            if foreign := loaded_from_the_network(text if file.suffix == ".html" else f"<style>{text}</style>"):
                raise PluginError(f"{file.relative_to(config.site_dir)} loads {', '.join(foreign)} from the network")


def relink(markdown: str, page: str) -> str:
    r"""Return ``markdown`` with the targets of its links as seen from ``page`` of the site; code stays as it is.

    >>> relink("[data](docs/data.md#colours), [torch](https://pytorch.org)", "index.md")
    '[data](data.md#colours), [torch](https://pytorch.org)'
    >>> relink("![a](pictures/a.png) [about](../data/cells/README.md)", "data.md")
    '![a](pictures/a.png) [about](cells.md)'
    >>> relink("```\nheads[0](maps.x)\n```", "contributing.md") == "```\nheads[0](maps.x)\n```"
    True
    """
    here = {site: source for source, site in OUTSIDE.items()}.get(page, f"docs/{page}")

    def target(link: re.Match[str]) -> str:
        path, mark, anchor = link[1].partition("#")
        if not path or "://" in path:
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        site = OUTSIDE.get(file, file.removeprefix("docs/"))
        return f"]({posixpath.relpath(site, posixpath.dirname(page) or '.')}{mark}{anchor})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part[:3] == "```" else re.sub(r"\]\(([^)\s]+)\)", target, part) for part in parts)


def loaded_from_the_network(html: str) -> list[str]:
    """Return the addresses from which a browser would load a part of the page ``html``.

    >>> loaded_from_the_network('<a href="https://x.org">x</a> <img src="b.png"> <script src="https://x.org/a.js">')
    ['https://x.org/a.js']
    >>> loaded_from_the_network('<link href="//x.org/f.css"><style>@import "https://x.org/b.css"</style>')
    ['//x.org/f.css', 'https://x.org/b.css']
    """
    page = Addresses()
    page.feed(html)
    return page.found


LOADED_BY = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
"""The attribute of a tag that names what is loaded."""


class Addresses(HTMLParser):
    """The network's addresses in the tags that load something and in style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag loads."""
        self.in_style = tag == "style"
        values = dict(attrs)
        address = values.get(LOADED_BY.get(tag, "")) or ""
        if re.match(r"(https?:)?//", address) and values.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(address)

    def handle_data(self, data: str) -> None:
        """Note what a style sheet loads."""
        if self.in_style:
            self.found += re.findall(r"""(?:url\(|@import )["']?((?:https?:)?//[^"')]+)""", data)
