"""``python -m benchmarks fill``: the pages of this checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tyro.conf import Positional

from amc_gym._utils.files import write_whole
from amc_gym.cli.console import printer
from benchmarks.filling.markers import filled
from benchmarks.filling.tables import table
from benchmarks.reports.escaping import terminal_text
from benchmarks.studies.runs import BenchmarkError

ROOT = Path(__file__).parents[2]


def pages() -> list[Path]:
    """Return the paths of README and all pages of docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fill(files: Positional[tuple[Path, ...]] = (), check: bool = False) -> int:
    """Fill in the tables of README and docs from committed results.

    Args:
        files: Pages in Markdown; by default, README.md and all of docs.
        check: Change nothing; the exit status is 1 if a table differs from its result.

    Examples:
        python -m benchmarks fill
        python -m benchmarks fill README.md --check
    """
    console = printer()
    status = 0
    for path, before, after in _anew(files or tuple(pages())):
        if before == after:
            continue
        status = int(check)
        said = "differs from its results" if check else "is filled in"
        console.print(terminal_text(f"{path} {said}"), highlight=False, soft_wrap=True)
        if not check:
            write_whole(path, after)
    return status


def _anew(files: tuple[Path, ...]) -> Iterator[tuple[Path, str, str]]:
    """Yield each page, its text, and its text with tables made anew."""
    for path in files:
        try:
            before = path.read_text("utf-8")
            yield path, before, filled(before, table)
        except (ValueError, OSError) as error:
            raise BenchmarkError(f"{path}: {error}") from error
