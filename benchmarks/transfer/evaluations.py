"""Evaluations of plans of a suite's networks in several processes, with one job per network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from amc_gym.suites.suite import Suite, suite_of
from benchmarks.studies.execution import OnProgress
from benchmarks.studies.executor import Executor
from benchmarks.studies.progress import carry_out
from benchmarks.transfer import logs


@dataclass(frozen=True)
class OnNetwork:
    """Plans of all contexts of a network: a job for an executor.

    Attributes:
        suite: name or file of the suite.
        network: name of the network in the suite.
        contexts: number of its contexts.
        plans: number of plans of each context.
        folder: folder for the network's file.
    """

    suite: str
    network: str
    contexts: int
    plans: int
    folder: Path

    @property
    def name(self) -> str:
        """Name of the job's process."""
        return self.network

    @property
    def steps(self) -> int:
        """Number of plans of all contexts."""
        return self.contexts * self.plans

    def __str__(self) -> str:
        return self.network


def jobs_of(suite: str, plans: int, folder: Path) -> list[OnNetwork]:
    """Return a job for each network of a suite that has no file in the folder yet.

    Raises:
        ValueError: there is no such suite.
    """
    known = suite_of(suite)
    missing = [n for n in known.networks if not (folder / f"{n}.safetensors").exists()]
    return [OnNetwork(suite, n, len(known.of(n)), plans, folder) for n in missing]


def run(jobs: Sequence[OnNetwork], executor: Executor, console: Console) -> bool:
    """Evaluate plans of networks.

    Args:
        jobs: jobs made by ``jobs_of``.
        executor: executor that runs them by ``work``, on the same file system as this process.
        console: console to show progress on.

    Returns:
        True if no job failed.
    """

    def said(job: OnNetwork, plans: int) -> str:
        return escape(f"{job}: {plans} plans")

    return carry_out(jobs, executor, console, said, ("networks", "plans"))


def work(job: OnNetwork, on_progress: OnProgress) -> int:
    """Write a network's file, and return the number of plans that were evaluated."""
    part = Suite(f"{job.suite}, {job.network}", suite_of(job.suite).of(job.network))
    with redirect_stderr(io.StringIO()):  # their progress bars would overwrite each other
        logs.write(part, job.folder, job.plans)
    on_progress(job.steps)
    return job.steps
