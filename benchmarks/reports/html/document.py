"""A web page in one file that loads nothing: its frame, plots and lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from gzip import decompress
from html import escape
from pathlib import Path

import plotly.graph_objects as go

_HERE = Path(__file__).parent

_PLOTLY = "plotly-basic-4.1.1.min.js.gz"
"""plotly.js with lines, points and bars: npm's plotly.js-basic-dist-min (MIT licence)."""


# The browser itself refuses anything that would need a network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def document(title: str, body: Iterable[str]) -> str:
    """Return the whole page of about 1.3 MB, nearly all of it plotly's JavaScript.

    Args:
        title: of the browser's window, plain text.
        body: markup.
    """
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    js = (_HERE / "page.js").read_text(encoding="utf-8")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{css}</style>",
            f"<script>{_plotly()}</script>",
            "</head><body>",
            *body,
            f"<script>\n{js}</script>",
            "</body></html>\n",
        ]
    )


@cache
def _plotly() -> str:
    return decompress((_HERE / _PLOTLY).read_bytes()).decode("utf-8")


def plot(figure: go.Figure, id_: str) -> str:
    """Return the markup of a plot.

    Args:
        figure: the figure.
        id_: id of its element, unique in the page.
    """
    markup = figure.to_html(
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        include_plotlyjs=False,
        full_html=False,
        div_id=id_,
        default_width="100%",
    )
    return f"<figure>{markup}</figure>"


def listed(facts: Mapping[str, str]) -> str:
    """Return the markup of a list of names and plain texts."""
    items: Iterable[str] = (
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
    )
    return f"<dl>{''.join(items)}</dl>"
