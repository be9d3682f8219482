"""Plans of a suite's networks, evaluated in several processes: a job for each network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from amc_gym.suites.suite import Suite, suite_of
from benchmarks.studies.execution import Told
from benchmarks.studies.executor import Executor
from benchmarks.studies.progress import carry_out
from benchmarks.transfer import logs


@dataclass(frozen=True)
class OnNetwork:
    """Plans of all contexts of a network, a job for an executor.

    Attributes:
        suite: name or file of the suite.
        network: of the suite.
        contexts: how many it has.
        plans: of each context.
        folder: for the network's file.
    """

    suite: str
    network: str
    contexts: int
    plans: int
    folder: Path

    @property
    def name(self) -> str:
        """Name of its process."""
        return self.network

    @property
    def steps(self) -> int:
        """Plans of all contexts."""
        return self.contexts * self.plans

    def __str__(self) -> str:
        return self.network


def jobs_of(suite: str, plans: int, folder: Path) -> list[OnNetwork]:
    """Return a job for each network of a suite whose file the folder lacks.

    Raises:
        ValueError: there is no such suite.
    """
    known = suite_of(suite)
    missing = [n for n in known.networks if not (folder / f"{n}.safetensors").exists()]
    return [OnNetwork(suite, n, len(known.of(n)), plans, folder) for n in missing]


def run(jobs: Sequence[OnNetwork], executor: Executor, console: Console) -> bool:
    """Evaluate plans of networks.

    Args:
        jobs: of ``jobs_of``.
        executor: how to carry them out, by ``work``; where its processes write files, ours reads.
        console: where to show progress.

    Returns:
        Whether none failed.
    """

    def said(job: OnNetwork, plans: int) -> str:
        return escape(f"{job}: {plans} plans")

    return carry_out(jobs, executor, console, said, ("networks", "plans"))


def work(job: OnNetwork, told: Told) -> int:
    """Write a network's file, and return how many plans were evaluated."""
    part = Suite(f"{job.suite}, {job.network}", suite_of(job.suite).of(job.network))
    with redirect_stderr(io.StringIO()):  # bars of several processes would cover each other
        logs.write(part, job.folder, job.plans)
    told(job.steps)
    return job.steps
