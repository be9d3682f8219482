"""Tutorials: notebooks that are run and become pages."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")

CELL = """# %% language="bash"
# python -c "from rich.console import Console; Console().print('[bold]a table[/]')"
# for i in 1 2 3; do sleep 0.2; echo $i; done
"""


def test_what_commands_print_is_plain_text(tmp_path: Path) -> None:
    from website.tutorials import run

    path = tmp_path / "cell.py"
    path.write_text(CELL)
    (cell,) = run(path).cells
    (output,) = cell.outputs
    assert output.text == "a table\n1\n2\n3\n"
