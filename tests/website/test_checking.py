"""Checks of a finished site's links."""

from __future__ import annotations

from pathlib import Path

from website.checking import broken

OTHER = '<html><h2 id="here">Here</h2></html>'


def said(tmp_path: Path, page: str) -> list[str]:
    (tmp_path / "other.html").write_text(OTHER)
    (tmp_path / "page.html").write_text(page)
    return list(broken(tmp_path))


def test_good_links_are_passed_over(tmp_path: Path) -> None:
    page = '<a href="other.html#here"></a><a href="https://a.b"></a><a id="x" href="#x"></a>'
    assert said(tmp_path, page) == []


def test_each_broken_link_and_foreign_file_is_told(tmp_path: Path) -> None:
    page = (
        '<a href="gone.html"></a><a href="other.html#gone"></a><img src="gone.png">'
        '<script src="https://cdn.example/x.js"></script>'
    )
    assert said(tmp_path, page) == [
        "page.html loads https://cdn.example/x.js, which is not a part of the site",
        "page.html links to gone.html, which is not a file of the site",
        "page.html links to other.html#gone, which has no such anchor",
        "page.html links to gone.png, which is not a file of the site",
    ]
