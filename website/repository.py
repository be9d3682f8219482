"""Files outside of docs/ that pages link to, as pages or files of the site.

A page of docs/ links to a report, a study's configuration or an agent by a relative path, as GitHub
needs it.  The site includes everything that is linked, and what that links to in turn, so that it
is complete without the repository.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from website.markdown import links

FOLDER = "repository"
"""Folder of the site for files outside of docs/."""

LANGUAGES = {
    ".cff": "yaml",
    ".csv": "text",
    ".json": "json",
    ".py": "python",
    ".toml": "toml",
    ".txt": "text",
    ".yml": "yaml",
}
"""Suffix of a file that is shown as code -> language for highlighting."""

LARGEST = 100_000
"""Most bytes of a file that is shown as code; larger ones are downloads."""

UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"
"""Header of pages that would crowd out those of docs/ in the search."""


@dataclass(frozen=True)
class Shown:
    """A page or file that the site shows for a path of the repository.

    Attributes:
        source: path in the repository; "" for a page without a file, whose links start at the root.
        place: path in the site's sources.
        text: of a page; ``None`` for a file that is copied, or a page that is made elsewhere.
    """

    source: str
    place: str
    text: str | None


def collect(
    root: Path, docs: str, first: Iterable[str], made: Mapping[str, str] | None = None
) -> dict[str, Shown]:
    """Return everything that is reached by links, by its path in the repository.

    Args:
        root: of the repository.
        docs: folder of the pages that MkDocs finds itself.
        first: paths of the pages to start from.
        made: path -> place of a page that is made from it elsewhere.
    """
    found = {path: Shown(path, place, None) for path, place in (made or {}).items()}
    waiting = list(first)
    while waiting:
        path = waiting.pop()
        if path in found or not (shown := _shown(root, docs, path)):
            continue
        found[path] = shown
        if shown.text is not None:
            waiting += [resolved(shown.source, target) for target in links(shown.text)]
    return found


def resolved(source: str, target: str) -> str:
    """Return the path in the repository that a relative link of a file leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def relative(found: Mapping[str, Shown], page: str, source: str, target: str) -> str | None:
    """Return a link's target on the site, or ``None`` if its target is not on the site.

    Args:
        found: result of ``collect``.
        page: place of the linking page in the site's sources.
        source: its path in the repository.
        target: of the link, without an anchor.
    """
    shown = found.get(resolved(source, target))
    return None if shown is None else posixpath.relpath(shown.place, posixpath.dirname(page) or ".")


def _shown(root: Path, docs: str, path: str) -> Shown | None:
    file = root / path
    if path.startswith("..") or not file.exists():
        return None  # MkDocs warns about broken links
    if file.is_dir():
        readme = f"{path}/README.md"
        return _shown(root, docs, readme) if (root / readme).exists() else _listing(file, path)
    inside = path.startswith(f"{docs}/")
    place = path.removeprefix(f"{docs}/") if inside else f"{FOLDER}/{path}"
    if path == "README.md":
        return Shown(path, "index.md", file.read_text("utf-8"))
    if file.suffix == ".md":
        head = "" if inside else UNSEARCHED
        return Shown(path, place, head + file.read_text("utf-8"))
    if file.suffix in LANGUAGES and file.stat().st_size <= LARGEST:
        return Shown(path, f"{place}.md", _code(path, file))
    return Shown(path, place, None)


def _code(path: str, file: Path) -> str:
    fence = "`" * 8  # more than any docstring has
    text = file.read_text("utf-8").rstrip("\n")
    return f"{UNSEARCHED}# {path}\n\n{fence}{LANGUAGES[file.suffix]}\n{text}\n{fence}\n"


def _listing(folder: Path, path: str) -> Shown:
    names = sorted(each.name for each in folder.iterdir() if _is_listed(each))
    rows = "\n".join(f"- [{name}]({path}/{name})" for name in names)
    text = f"{UNSEARCHED}# {path}\n\n{rows}\n"
    return Shown("", f"{FOLDER}/{path}/index.md", text)


def _is_listed(file: Path) -> bool:
    return file.is_file() and file.suffix in {*LANGUAGES, ".md", ".png"}
