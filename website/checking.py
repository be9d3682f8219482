"""Check of the finished site: its links lead to files and anchors in it, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img", "script", "source", "iframe"}
"""Elements whose ``src`` a browser fetches; ``link`` elements have ``href``."""

UNFETCHED = {"canonical", "next", "prev"}
"""Relations of ``link`` elements whose address is not fetched."""


class Links(HTMLParser):
    """A parser that collects the links of a page.

    Attributes:
        targets: targets of its links.
        loaded: addresses that a browser fetches with it.
        anchors: anchors that a link can lead to.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a link, a picture or an anchor."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.targets.append(given["href"])
        if tag in LOADED and "src" in given:
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in UNFETCHED and "href" in given:
            self.loaded.append(given["href"])


def broken(site: Path) -> Iterator[str]:
    """Yield a sentence for each broken link, and for each file from another server."""

    @cache
    def read(page: Path) -> Links:
        return Links(page.read_text("utf-8"))

    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":
            continue  # served for any address, with links from the root
        name = page.relative_to(site)
        for address in read(page).loaded:
            if urlsplit(address).netloc:
                yield f"{name} loads {address}, which is not a part of the site"
        for target in dict.fromkeys([*read(page).targets, *read(page).loaded]):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not file.is_file():
                yield f"{name} links to {target}, which is not a file of the site"
            elif file.suffix == ".html" and unquote(parts.fragment) not in read(file).anchors | {
                ""
            }:
                yield f"{name} links to {target}, which has no such anchor"
