"""Jobs of fine-tuning, and their execution."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from torch import nn

import amc_gym
from agents import is_deterministic
from amc_gym import CompressionPlan, CompressionTask, Split
from amc_gym._utils.machine import device_of
from amc_gym.compression.handover.formats import halved, nbytes
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.workflows.teachers import bundled_teacher
from benchmarks.finetuning.identity import identity
from benchmarks.finetuning.outcomes import Bits, Outcome, load_all
from benchmarks.machine import machine, versions
from benchmarks.studies.records import Record

FULL = "full network"
"""Name of the uncompressed network, which is trained further by the same recipe."""

RECIPE = Recipe(
    epochs=10,
    batch_size=128,
    learning_rate=0.05,
    schedule="cosine",
    weight_decay=5e-4,
    label_smoothing=0.05,
    shift=4,
    flip=True,
    precision="auto",
)
"""Recipe for CIFAR-10, where the peak learning rate of the original training is 0.2."""

LARGEST = 2 * 10**6
"""Most bytes of a network that is kept."""


@dataclass(frozen=True)
class FineTuning:
    """One network to fine-tune with one seed.

    Attributes:
        agent: agent that found the plan, or ``FULL``.
        search_seed: seed of the run that found it.
        plan: the plan; for the full network any plan of the study, which names the task.
        macs_ratio: the plan's MACs as a share of the full network's.
        params_ratio: its parameters likewise.
        recipe: of the training, including its seed.
        folder: folder of checkpoint and network.
        keep: whether to keep the network, if it is small enough.
        recovery: of the weights before fine-tuning; None: as in the search.
        data_root: folder of data sets that are read from disk; None: $AMC_DATA_ROOT.
        separators: see ``identity``.
        teacher: registered network whose bundled weights teach; None: the original network.
        weights: file of the original network's weights; None: where it was in the search.
    """

    agent: str
    search_seed: int
    plan: CompressionPlan
    macs_ratio: float
    params_ratio: float
    recipe: Recipe
    folder: Path
    keep: bool = False
    recovery: str | None = None
    data_root: Path | None = None
    separators: tuple[str, str] | None = None
    teacher: str | None = None
    weights: Path | None = None

    @property
    def name(self) -> str:
        """Name of its files: readable, and unique by plan and recipe."""
        full = self.agent == FULL
        # Any plan may name the full network's task, so the name does not depend on it.
        subject = self.plan.fingerprints if full else self._identity
        recovery = None if full else self.recovery
        decided = [full, subject, self.recipe.described(), recovery]
        if self.teacher is not None:  # names of older files do not depend on it
            decided.append(self.teacher)
        digest = hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:8]
        return f"{self._source}-{digest}"

    @property
    def path(self) -> Path:
        """Path of its outcome, once it is finished."""
        return self.folder / f"{self.name}.json"

    @property
    def checkpoint(self) -> Path:
        """Path of its checkpoint, until it is finished."""
        return self.folder / f"{self.name}.checkpoint.pt"

    @property
    def plan_name(self) -> str:
        """Name of the plan's file, shared by all fine-tunings of the plan."""
        return f"{self._source}-{hashlib.sha256(self._identity.encode()).hexdigest()[:8]}"

    @property
    def _identity(self) -> str:
        return identity(self.plan, self.separators)

    @property
    def _source(self) -> str:
        return f"{self.agent.replace(' ', '-')}-seed{self.search_seed}"

    @property
    def steps(self) -> int:
        """Number of epochs."""
        return self.recipe.epochs

    def __str__(self) -> str:
        return f"{self.agent}, search {self.search_seed}, fine-tuning {self.recipe.seed}"


def jobs_of(
    records: Iterable[Record],
    recipe: Recipe,
    seeds: int,
    folder: Path,
    searches: int = 1,
    recovery: str | None = None,
    data_root: Path | None = None,
    teacher: str | None = None,
    weights: Path | None = None,
) -> list[FineTuning]:
    """Return jobs for the full network and the plans of the agents' middle runs, by seed.

    Args:
        records: runs of one setting.
        recipe: of the fine-tuning, with the first seed.
        seeds: number of fine-tuning seeds.
        folder: folder of the jobs' files.
        searches: number of runs of each agent, around the median of the rewards.
        recovery: of the weights before fine-tuning; None: as in the search.
        data_root: folder of data sets that are read from disk; None: $AMC_DATA_ROOT.
        teacher: registered network whose bundled weights teach; None: the original network.
        weights: file of the original network's weights; None: where it was in the search.
    """
    by_agent: dict[str, list[Record]] = {}
    for record in records:
        by_agent.setdefault(record.run.agent, []).append(record)
    chosen = [(agent, run) for agent, runs in by_agent.items() for run in middle(runs, searches)]
    plans = [
        (agent, run.run.seed, run.best.plan, run.best.macs_ratio, run.best.params_ratio)
        for agent, run in chosen
    ]
    plans.insert(0, (FULL, 0, plans[0][2], 1.0, 1.0))
    full = replace(recipe, shrink=0)  # nothing of it is dropped
    return [
        FineTuning(
            *plan,
            replace(full if plan[0] == FULL else recipe, seed=recipe.seed + n),
            folder,
            n == 0,
            recovery,
            data_root,
            teacher=teacher,
            weights=weights,
        )
        for n in range(seeds)
        for plan in plans
    ]


def unfinished(jobs: Sequence[FineTuning]) -> list[FineTuning]:
    """Return the jobs of one folder that have no outcome there yet.

    Raises:
        ValueError: a JSON file in the folder is not an outcome.
    """
    done = {outcome.name for outcome in load_all(jobs[0].folder)} if jobs else set()
    return [job for job in jobs if job.name not in done]


def middle(runs: Sequence[Record], n: int) -> list[Record]:
    """Return the ``n`` runs around the median of the rewards, the lower one in case of doubt."""
    ordered = sorted(runs, key=lambda record: (record.best.reward, record.run.seed))
    if is_deterministic(ordered[0].run.agent):
        n = 1
    first = max(0, (len(ordered) - n) // 2)
    return ordered[first : first + n]


def work(job: FineTuning, progressed: Callable[[int], None]) -> Outcome:
    """Fine-tune one network, and evaluate it on the test images before and after.

    During the training a checkpoint is kept in the job's folder, from which an interrupted job
    continues.
    """
    plan = job.plan
    task = amc_gym.task_of(plan, job.data_root, weights=job.weights)
    images = amc_gym.training_images(task, job.data_root)
    compressed = job.agent != FULL
    network = (
        amc_gym.compress(task, plan, job.recovery)
        if compressed
        else copy.deepcopy(task.model).eval()
    )
    before = Bits.of(network, task.test)
    began = time.perf_counter()
    network = _tune(job, task, plan, images, progressed).cpu()
    seconds = time.perf_counter() - began
    kept = compressed and job.keep and rounded(network)
    outcome = Outcome(
        name=job.name,
        agent=job.agent,
        search_seed=job.search_seed,
        finetuning_seed=job.recipe.seed,
        recipe=job.recipe.described(),
        recovery=job.recovery,
        teacher=job.teacher,
        plan=plan if compressed else None,
        macs_ratio=job.macs_ratio,
        params_ratio=job.params_ratio,
        before=before,
        after=Bits.of(network, task.test),
        reward_accuracy=amc_gym.accuracy(network, task.reward),
        network=_save(job, network, task) if kept else None,
        seconds=round(seconds, 1),
        machine=machine(),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if compressed:
        path = job.folder / "plans" / f"{job.plan_name}.json"
        path.parent.mkdir(exist_ok=True)
        plan.save(path)
    outcome.save(job.folder)
    job.checkpoint.unlink(missing_ok=True)
    return outcome


def _tune(
    job: FineTuning,
    task: CompressionTask,
    plan: CompressionPlan,
    images: Split,
    progressed: Callable[[int], None],
) -> nn.Module:
    job.folder.mkdir(parents=True, exist_ok=True)
    teacher = None if job.teacher is None else bundled_teacher(task, job.teacher)
    if job.agent != FULL:
        return amc_gym.finetune(
            task,
            plan,
            images,
            job.recipe,
            recovery=job.recovery,
            teacher=teacher,
            checkpoint=job.checkpoint,
            progress=False,
            on_epoch=progressed,
        )
    return train(
        copy.deepcopy(task.model).to(device_of("auto")),
        images,
        job.recipe,
        teacher=task.model if teacher is None else teacher,
        checkpoint=job.checkpoint,
        progress=False,
        on_epoch=progressed,
    )


def rounded(network: nn.Module) -> bool:
    """Return whether the network is small enough to keep, after rounding large kernels in place.

    It must be evaluated afterwards, as it will be in the file.
    """
    state = network.state_dict()
    if nbytes(state) > LARGEST:
        state = halved(state)
        if nbytes(state) > LARGEST:
            return False
        network.load_state_dict(state)
    return True


def _save(job: FineTuning, network: nn.Module, task: CompressionTask) -> str:
    """Save the network, and return the name of its file."""
    path = job.folder / "networks" / f"{job.name}.safetensors"
    amc_gym.export(network, task, path, overwrite=True)
    return str(path.relative_to(job.folder))
