"""Hooks that MkDocs calls while it builds the site (``hooks`` in mkdocs.yml)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from website import checking, environments, reference, repository, tutorials
from website.markdown import relink, with_anchors

log = logging.getLogger("mkdocs.hooks.website")

ASSETS = Path(__file__).parent / "assets"

FRONT = "README.md"

SECTIONS = {"tutorials/": tutorials, "environments/": environments, "reference/": reference}
"""Entry of ``nav`` -> module whose ``pages`` are inserted there."""

_shown: dict[str, repository.Shown] = {}
_sources: dict[str, str] = {}
_made: dict[str, dict[str, str | bytes]] = {}


def on_config(config: MkDocsConfig) -> None:
    """Make the pages of sections from code, and their entries in the navigation."""
    for entry, module in SECTIONS.items():
        _made[entry] = {f"{entry}{name}": made for name, made in module.pages().items()}
    config.nav = _expanded(config.nav)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add those pages, the front page, and files outside of docs/ that pages link to."""
    root = Path(config.config_file_path).parent
    docs = Path(config.docs_dir).relative_to(root).as_posix()
    pages = [f"{docs}/{file.src_uri}" for file in files.documentation_pages()]
    _shown.clear()
    _shown.update(repository.collect(root, docs, [FRONT, *pages], tutorials.places()))
    _sources.clear()
    _sources.update({shown.place: shown.source for shown in _shown.values() if shown.text})
    for contents in _made.values():
        for place, content in contents.items():
            files.append(File.generated(config, place, content=content))
    for path, shown in _shown.items():
        if files.get_file_from_path(shown.place) is not None:
            continue  # of docs/
        given: dict[str, Any] = (
            {"abs_src_path": str(root / path)} if shown.text is None else {"content": shown.text}
        )
        hidden = shown.place.startswith(f"{repository.FOLDER}/")
        shelf = InclusionLevel.NOT_IN_NAV if hidden else InclusionLevel.INCLUDED
        files.append(File.generated(config, shown.place, inclusion=shelf, **given))
    for asset in ASSETS.iterdir():
        place = f"assets/{asset.name}"
        files.append(File.generated(config, place, abs_src_path=str(asset)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Redirect the links of a page to the places of their targets on the site."""
    here = page.file.src_uri
    if here not in _sources:
        return markdown
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]  # the list would have one entry
    source = _sources[here]
    moved = relink(markdown, lambda target: repository.relative(_shown, here, source, target))
    return with_anchors(moved)


def on_post_build(config: MkDocsConfig) -> None:
    """Warn about each broken link of the finished site."""
    for sentence in checking.broken(Path(config.site_dir)):
        log.warning(sentence)


def _expanded(nav: Any) -> Any:
    """Return the navigation with the entries of ``SECTIONS`` replaced by lists of pages."""
    if isinstance(nav, list):
        return [_expanded(entry) for entry in nav]
    if isinstance(nav, dict):
        return {title: _expanded(entry) for title, entry in nav.items()}
    return [place for place in _made[nav] if place.endswith(".md")] if nav in _made else nav
