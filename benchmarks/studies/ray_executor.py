"""Jobs on a Ray cluster, each in a fresh process of some node.

A job is one Ray task, and all the scheduling is Ray's.  Ray repeats a task whose process or node
died (`max_retries`), and makes its result again if the node that held it died; an exception of the
job itself is its result and is not retried.  Whatever happens, the driver gets one result for each
job.

Ray Tune offers this too, for searches that stop, fork or propose trials.  Here each run is executed
to its end, and Tune would add a second record of what is finished (its experiment folder, beside
ours), retry exceptions like deaths (`max_failures`), and need a driver thread of its own
(`Tuner.fit` returns at the end, while an executor yields each result as it comes).
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from amc_gym import Split
from benchmarks.studies.executor import (
    Event,
    Failed,
    Finished,
    Job,
    Progressed,
    Throttle,
    Work,
    attempt,
)
from benchmarks.studies.runs import BenchmarkError

try:
    import ray
except ImportError as error:
    raise BenchmarkError("--ray needs Ray: pip install 'amc-gym[ray]'") from error

from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

REPORT_EVERY = 1.0
"""Seconds between two messages about a job's progress, as there may be a thousand jobs."""

LOOK_EVERY = 0.5
"""Seconds between two checks for events."""

PACKAGES = ("amc_gym", "agents", "benchmarks")
"""Packages that are sent to the workers, so that all nodes run the code of this checkout."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class RayExecutor:
    """Processes of one core each, as many in parallel as the cluster has free cores.

    Attributes:
        work: function that does a job.
        address: of the cluster's head, as for `ray.init`; ``None``: that in RAY_ADDRESS, else a
            cluster running on this machine, else a new one on this machine.
        modules: a user's own modules, which are sent to each worker and imported first.
        common: further arguments of ``work``; they are put into the cluster's object store once,
            from which all workers of a node read the images of a task.
        retries: how often a job is repeated if its process or node died.
    """

    work: Work
    address: str | None = None
    modules: tuple[str, ...] = ()
    common: tuple[Any, ...] = ()
    retries: int = 3

    def __call__(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Execute ``jobs`` and yield events; closing the generator ends the workers.

        Raises:
            BenchmarkError: there is no such cluster.
        """
        if not jobs:
            return
        with _connected(self.address, self.modules):
            board = _board()
            common = [ray.put(value) for value in self.common]
            carry_out = _carry_out.options(max_retries=self.retries)
            pending = {
                carry_out.remote(self.work, job, self.modules, board, i, *common): (i, job)
                for i, job in enumerate(jobs)
            }
            while pending:
                ended, _ = ray.wait(list(pending), num_returns=len(pending), timeout=LOOK_EVERY)
                said: Any = ray.get(board.take.remote())
                for i, (steps, news) in said.items():
                    yield Progressed(jobs[i], steps, news)
                for reference in ended:
                    _, job = pending.pop(reference)
                    yield _outcome(reference, job)


@contextmanager
def _connected(address: str | None, modules: Sequence[str]) -> Iterator[None]:
    """Connect to the cluster within the block; Ray ends everything that was begun in it."""
    try:
        _call(address or os.environ.get("RAY_ADDRESS", ""))
        ray.init(
            address,
            runtime_env={"py_modules": _sources(modules), "env_vars": ONE_THREAD},
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    except (OSError, ValueError, RuntimeError, RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster"
        raise BenchmarkError(
            f"cannot connect to {where}: {error}. Start one with `ray start --head` and name it "
            "with --ray HOST:PORT, or use --ray alone for one on this machine"
        ) from error
    # Images are mapped from the object store, because torch would copy them for each worker.
    ray.util.register_serializer(
        Split, serializer=_arrays, deserializer=lambda arrays: Split(*arrays)
    )
    try:
        yield
    finally:
        ray.util.deregister_serializer(Split)
        ray.shutdown()


def _call(address: str) -> None:
    """Check that HOST:PORT answers, because Ray itself would try for minutes.

    Raises:
        OSError: nothing answers.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _arrays(split: Split) -> tuple[Any, ...]:
    return split.images.cpu().numpy(), split.labels.cpu().numpy(), split.mean, split.std


def _sources(modules: Sequence[str]) -> list[ModuleType]:
    """Return the local packages and modules that workers import."""
    names = dict.fromkeys([*PACKAGES, *(re.split("[.:]", module)[0] for module in modules)])
    return [importlib.import_module(name) for name in names]


@ray.remote(num_cpus=0)
class _Board:
    """A board that collects news of jobs until they are read."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[int, tuple[Any, ...]]] = {}

    def put(self, i: int, steps: int, news: tuple[Any, ...]) -> None:
        _, before = self._said.get(i, (0, ()))
        self._said[i] = steps, before + news

    def take(self) -> dict[int, tuple[int, tuple[Any, ...]]]:
        taken, self._said = self._said, {}
        return taken


def _board() -> Any:
    """Return a board on this process's node, without which the study would end anyway."""
    here = ray.get_runtime_context().get_node_id()
    return _Board.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False)
    ).remote()


# Each process executes one job, as on one machine; exceptions of the job are returned.
@ray.remote(num_cpus=1, max_calls=1, retry_exceptions=False)
def _carry_out(
    work: Work, job: Job, modules: tuple[str, ...], board: Any, i: int, *common: Any
) -> Finished | Failed:
    def report(steps: int, news: tuple[Any, ...]) -> None:
        # The news of a failed job are read before its end.
        ray.get(board.put.remote(i, steps, news))

    report(0, ())
    return attempt(work, job, modules, Throttle(report, REPORT_EVERY, REPORT_EVERY), common)


def _outcome(reference: ray.ObjectRef, job: Job) -> Event:
    try:
        return ray.get(reference)
    except RayError as error:  # neither a result nor an exception of the job itself
        lines = str(error).strip().splitlines()
        return Failed(job, f"{type(error).__name__}: {lines[0]}", "\n".join(lines[1:]))
