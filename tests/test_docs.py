"""Pages of docs: examples run and commands parse as they are printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import PlainStack, images, lively

import agents
from amc_gym.cli.commands import Command, parse

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("../README.md", "compare-agents.md", "extend.md", "suites.md")


def yours() -> dict[str, Any]:
    """Make what a reader has: a network, and images to train, reward and test it on."""
    splits = (images(*each) for each in ((200, 1), (64, 2), (64, 3)))
    names = ("train", "validation", "test")
    data = {name: (each.images, each.labels) for name, each in zip(names, splits, strict=True)}
    torch.manual_seed(0)
    return {"model": lively(PlainStack()), **data}


@pytest.mark.parametrize("page", PAGES)
def test_examples_run_as_printed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agents.registry.FACTORIES", dict(agents.FACTORIES))
    text = (DOCS / page).read_text("utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert blocks
    # Line numbers of an error are those of the page.
    code = ["\n"] * (text.count("\n") + 1)
    for block in blocks:
        first = text.count("\n", 0, block.start(1))
        for place, line in enumerate(block[1].splitlines(keepends=True)):
            code[first + place] = line
    exec(compile("".join(code), page, "exec"), {"__name__": "__main__", **yours()})


def printed_commands() -> Iterator[tuple[str, str]]:
    """Yield page and command for every command in a code block, continued lines joined."""
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
        text = page.read_text("utf-8").replace("\\\n", " ")
        for found in re.finditer(r"^ *(?:\$ )?amc-gym (.*)$", text, re.MULTILINE):
            yield page.name, found[1]


@pytest.mark.parametrize(("page", "command"), list(printed_commands()))
def test_commands_parse_as_printed(page: str, command: str) -> None:
    parsed = parse(shlex.split(command, comments=True))
    assert isinstance(parsed, Command), f"{page}: amc-gym {command}"
