"""Tasks that all tests share, and the order in which the tests run."""

from __future__ import annotations

import gc
import json
from collections import Counter

import pytest
import torch
from small import PlainStack, images, lively
from torch import nn

from amc_gym import CompressionTask
from amc_gym.zoo.resolving import resolve

# The tests run side by side; more threads than cores make small networks many times slower.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def plain_stack() -> nn.Module:
    torch.manual_seed(0)
    return lively(PlainStack())


@pytest.fixture(scope="session")
def plain_task(plain_stack: nn.Module) -> CompressionTask:
    return CompressionTask(plain_stack, images(400, 1), images(64, 2), images(64, 3))


@pytest.fixture(scope="session")
def digits_task() -> CompressionTask:
    return resolve("MobileNet")


LONGEST = (
    "tests/kills/",
    "tests/golden/",
    "tests/benchmarks/studies/test_ray_executor.py",
    "tests/examples/",
    "tests/networks/",
    "tests/_utils/test_orphans.py",
    "tests/benchmarks/test_leaderboard.py",
    "tests/benchmarks/test_main.py",
    "tests/benchmarks/test_pareto.py",
    "tests/sharing/",
    "tests/zoo/",
)
"""Tests to begin first.  Begun last, they would keep one process busy while all others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_runtest_teardown() -> None:
    """Undo `gc.freeze`, which an interrupted command calls to end at once, so memory is freed."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many generated calls were accepted and refused, by call and changed argument."""
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "fuzz":
                for tally, more in zip((accepted, refused), json.loads(value), strict=True):
                    tally.update(more)
    if calls := accepted.pop("all", 0) + refused.pop("all", 0):
        terminalreporter.section(f"{calls} generated calls: accepted and refused")
        for key in sorted(accepted | refused):
            terminalreporter.line(f"{key:<44}{accepted[key]:>6}{refused[key]:>6}")
