"""Tutorial pages: notebooks of docs/tutorials, run from top to bottom during the build.

A notebook is a Python file in Jupytext's percent format, so that it is linted and reviewed as code.
A failing cell makes the build fail.  Each page comes with the finished notebook, for Jupyter.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "docs" / "tutorials"

ORDER = (
    "first_episode",
    "the_paper_in_numbers",
    "your_own_agent",
    "your_own_network",
    "your_own_task",
    "one_policy_for_many",
    "from_search_to_phone",
)
"""Stems of the notebooks, in reading order."""

SECONDS = 600
"""Time limit of a cell; a whole notebook takes less than a minute."""


def pages() -> dict[str, str | bytes]:
    """Return the text of each page, each picture and each notebook, by file name."""
    notebooks = {stem: run(SOURCES / f"{stem}.py") for stem in ORDER}
    made: dict[str, str | bytes] = {"index.md": _index(notebooks)}
    for stem, notebook in notebooks.items():
        made |= _page(stem, notebook)
    return made


def places() -> dict[str, str]:
    """Return the places on the site of the notebooks in the repository."""
    folder = SOURCES.relative_to(ROOT).as_posix()
    pages = {f"{folder}/{stem}.py": f"{SOURCES.name}/{stem}.md" for stem in ORDER}
    return pages | {folder: f"{SOURCES.name}/index.md"}


def run(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with its outputs, run in an empty folder with this checkout.

    Args:
        path: source of the notebook.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = jupytext.read(path)
    commands = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = os.environ | {
        "PATH": os.pathsep.join(commands),
        "COLUMNS": "100",
        "TTY_COMPATIBLE": "0",  # kernels ask for colours, whose codes no page can show
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "examples"))),
    }
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            coalesce_streams=True,  # output that comes in pieces is one output
            extra_arguments=["--log-level=ERROR"],  # it warns about its own connection
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            timeout=SECONDS,
        )
        client.execute(env=environment)
    return notebook


def _page(stem: str, notebook: nbformat.NotebookNode) -> dict[str, str | bytes]:
    text, resources = MarkdownExporter().from_notebook_node(
        notebook, resources={"unique_key": stem, "output_files_dir": "."}
    )
    offer = f"This page is a notebook: [{stem}.ipynb]({stem}.ipynb)."
    return {
        f"{stem}.md": f"{text.strip()}\n\n{offer}\n",
        f"{stem}.ipynb": nbformat.writes(notebook),
        **{Path(name).name: content for name, content in resources["outputs"].items()},
    }


def _index(notebooks: Mapping[str, nbformat.NotebookNode]) -> str:
    lines = []
    for stem, notebook in notebooks.items():
        first = notebook.cells[0].source.split("\n\n")
        title, about = first[0].lstrip("# "), " ".join(first[1].split())
        lines.append(f"- [{title}]({stem}.md): {about[0].lower()}{about[1:]}")
    return "\n\n".join(
        (
            "# Tutorials",
            "Each is a notebook that runs in less than a minute on two cores, without a download.",
            "\n".join(lines),
        )
    )
