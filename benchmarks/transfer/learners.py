"""Trainings of policies on the networks of a suite; each is a job and results in a file.

| learner                                | learns from                                            |
|----------------------------------------|--------------------------------------------------------|
| amc-policy                             | plans in OUT/logs, by regression, see `training`       |
| sb3-sac, sb3-td3, sb3-ddpg, sb3-ppo    | episodes on the suite, see ``agents.sb3_suite``        |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from amc_gym._utils.files import write_whole
from amc_gym.suites.suite import Suite, suite_of
from benchmarks.studies.execution import OnProgress
from benchmarks.studies.executor import Executor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.runs import BenchmarkError


@dataclass(frozen=True, eq=False)
class Training:
    """One training of a policy: a job for an executor.

    Attributes:
        learner: name of the learner, see above.
        seed: seed of all random numbers, including the choice of networks to train on.
        suite: name or file of the training suite.
        networks: number of its networks to train on; ``None``: all.
        out: folder of the logs and of the policy's file.
        size: number of members of the ensemble, or of episodes.
        apart: whether the file's name contains the seed.
        hyperparams: folder of SB3's hyperparameters; ``None``: those that come with the agents.
        changes: hyperparameters to override.
    """

    learner: str
    seed: int
    suite: str
    networks: int | None
    out: Path
    size: int
    apart: bool = False
    hyperparams: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Stem of the policy's file, see `policies`."""
        some = "" if self.networks is None else f"-n{self.networks}"
        return f"{self.learner}{some}{f'-s{self.seed}' if self.apart else ''}"

    @property
    def path(self) -> Path:
        """Path of the policy's file."""
        return self.out / f"{self.name}.safetensors"

    @property
    def steps(self) -> int:
        """Number of epochs of all members, or of episodes."""
        if self.learner != "amc-policy":
            return self.size
        from benchmarks.transfer.training import EPOCHS

        return self.size * EPOCHS

    def __str__(self) -> str:
        return self.name


def run(trainings: Sequence[Training], executor: Executor, console: Console) -> bool:
    """Carry out trainings that have no file yet.

    Args:
        trainings: trainings to carry out.
        executor: executor that runs them by ``work``.
        console: console to show progress on.

    Returns:
        True if no training failed.
    """
    missing = [each for each in trainings if not each.path.exists()]
    for each in trainings:
        if each not in missing:
            said = f"{each.path} exists and is kept; remove it to train it again"
            console.print(said, highlight=False, soft_wrap=True, markup=False)

    def keep(training: Training, content: bytes) -> str:
        training.out.mkdir(parents=True, exist_ok=True)
        return escape(f"{write_whole(training.path, content)}: {len(content):,} bytes")

    steps_are = "epochs" if all(each.learner == "amc-policy" for each in trainings) else "episodes"
    return carry_out(missing, executor, console, keep, ("trainings", steps_are))


def work(training: Training, on_progress: OnProgress) -> bytes:
    """Train a policy, and return the contents of its file."""
    suite = _part(suite_of(training.suite), training.networks, training.seed)
    if training.learner == "amc-policy":
        return _ensemble(training, suite, on_progress)
    from agents.sb3_suite import FOLDER, trained

    algorithm = training.learner.removeprefix("sb3-")
    hyperparams = training.hyperparams or FOLDER
    return trained(
        algorithm,
        suite,
        training.size,
        training.seed,
        hyperparams=hyperparams,
        changes=training.changes,
        on_episode=on_progress,
    )


def _ensemble(training: Training, suite: Suite, on_progress: OnProgress) -> bytes:
    from safetensors.torch import save

    from agents.amc_policy import named
    from benchmarks.transfer.logs import read
    from benchmarks.transfer.training import EPOCHS, fit

    known = [log for log in read(training.out / "logs") if log.network in suite.networks]
    if not known:
        raise BenchmarkError(f"no plans in {training.out / 'logs'}; make them with transfer log")
    members, first = training.size, training.seed * training.size
    return save(
        named(
            [
                fit(known, first + i, lambda epoch, i=i: on_progress(i * EPOCHS + epoch))
                for i in range(members)
            ]
        )
    )


def _part(suite: Suite, networks: int | None, seed: int) -> Suite:
    """Return the contexts of this many networks, drawn by the seed.

    With the same seed, a larger number gives a superset.

    Raises:
        BenchmarkError: the suite has fewer networks.
    """
    if networks is None:
        return suite
    if not 1 <= networks <= len(suite.networks):
        raise BenchmarkError(
            f"--networks must be from 1 to {len(suite.networks)}, those of {suite.name}, not "
            f"{networks}"
        )
    order = np.random.default_rng(seed).permutation(len(suite.networks))
    chosen = {suite.networks[place] for place in order[:networks]}
    contexts = [context for context in suite.contexts if context.network in chosen]
    return Suite(f"{suite.name}, {networks} networks", contexts, suite.summary)
