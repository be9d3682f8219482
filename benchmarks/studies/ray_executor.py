"""Jobs on a Ray cluster, each in a fresh process of some node.

A job is one Ray task, and all the scheduling is Ray's.  Ray carries a task out again whose process
or node died (`max_retries`), and makes its result again where the node that held it died; an
exception of the job's own is its result and is not tried again.  Whatever happens, the driver
gets one result for one job.

Ray Tune does this too, for searches that stop, fork or propose trials.  Here each run goes to its
end, and Tune would bring along a second record of what is finished (its experiment folder, beside
ours), retry exceptions like deaths (`max_failures`), and want a driver thread to itself
(`Tuner.fit` returns when all is over, while an executor yields each result as it comes).
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
    Telling,
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
"""Seconds between two messages about a job's progress: there may be a thousand jobs at a time."""

LOOK_EVERY = 0.5
"""Seconds between two looks at what has happened."""

PACKAGES = ("amc_gym", "agents", "benchmarks")
"""Sent to the workers as this checkout has them, so that all nodes run the same code."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class RayExecutor:
    """Processes of one core each, as many at a time as the cluster has cores to spare.

    Attributes:
        work: how to do a job.
        address: of the cluster's head, as `ray.init` takes it; ``None``: what RAY_ADDRESS names,
            else a cluster running on this machine, else a new one on this machine.
        modules: of the user's own, sent along and imported by each worker first.
        common: more arguments of ``work``; they are put into the cluster's object store once, and
            the images of a task are read from there by all workers of a node.
        retries: how often a job is carried out again whose process or node died.
    """

    work: Work
    address: str | None = None
    modules: tuple[str, ...] = ()
    common: tuple[Any, ...] = ()
    retries: int = 3

    def __call__(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Carry out ``jobs`` and yield what happens; closing the generator ends the workers.

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
    """A connection to the cluster; without it Ray ends whatever was begun through it."""
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
            "with --ray HOST:PORT, or say --ray alone for one on this machine"
        ) from error
    # Images are mapped from the object store, where torch would copy them for each worker.
    ray.util.register_serializer(
        Split, serializer=_arrays, deserializer=lambda arrays: Split(*arrays)
    )
    try:
        yield
    finally:
        ray.util.deregister_serializer(Split)
        ray.shutdown()


def _call(address: str) -> None:
    """See whether anybody is at HOST:PORT; Ray itself would try for minutes.

    Raises:
        OSError: nobody is.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _arrays(split: Split) -> tuple[Any, ...]:
    return split.images.cpu().numpy(), split.labels.cpu().numpy(), split.mean, split.std


def _sources(modules: Sequence[str]) -> list[ModuleType]:
    """Return the packages and modules that workers import, each as it is here."""
    names = dict.fromkeys([*PACKAGES, *(re.split("[.:]", module)[0] for module in modules)])
    return [importlib.import_module(name) for name in names]


@ray.remote(num_cpus=0)
class _Board:
    """News of jobs since somebody looked."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[int, tuple[Any, ...]]] = {}

    def put(self, i: int, steps: int, news: tuple[Any, ...]) -> None:
        _, before = self._said.get(i, (0, ()))
        self._said[i] = steps, before + news

    def take(self) -> dict[int, tuple[int, tuple[Any, ...]]]:
        taken, self._said = self._said, {}
        return taken


def _board() -> Any:
    """Return a board on the node of this process, with which all would be over anyway."""
    here = ray.get_runtime_context().get_node_id()
    return _Board.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False)
    ).remote()


# A process carries out one job, as on one machine; what the job raises is returned.
@ray.remote(num_cpus=1, max_calls=1, retry_exceptions=False)
def _carry_out(
    work: Work, job: Job, modules: tuple[str, ...], board: Any, i: int, *common: Any
) -> Finished | Failed:
    def tell(steps: int, news: tuple[Any, ...]) -> None:
        # What has failed is heard before its end is.
        ray.get(board.put.remote(i, steps, news))

    tell(0, ())
    return attempt(work, job, modules, Telling(tell, REPORT_EVERY, REPORT_EVERY), common)


def _outcome(reference: ray.ObjectRef, job: Job) -> Event:
    try:
        return ray.get(reference)
    except RayError as error:  # neither a result nor an exception of the job's own
        lines = str(error).strip().splitlines()
        return Failed(job, f"{type(error).__name__}: {lines[0]}", "\n".join(lines[1:]))
