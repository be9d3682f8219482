"""Fixtures that the tests of benchmarks share."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

# Worker processes get this path, as they import small_learners, too.
sys.path.insert(0, str(Path(__file__).parent))

from small_study import ENV, KWARGS, Serial

from benchmarks.studies.execution import execute, import_modules, setting_of
from benchmarks.studies.records import Record
from benchmarks.studies.runs import Run, Setting

import_modules(["small_learners"])


@pytest.fixture(scope="session")
def setting() -> Setting:
    return setting_of(ENV, KWARGS, episodes=3)


@pytest.fixture(scope="session")
def record(setting: Setting) -> Record:
    return execute(Run(setting, "guess", 0))


@pytest.fixture
def serial() -> Serial:
    return Serial()


@pytest.fixture
def console() -> Console:
    """Return a console whose output ``said`` returns."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def said() -> Callable[[Console], str]:
    """Return a function that returns what was written to ``console``."""

    def read(console: Console) -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return read
