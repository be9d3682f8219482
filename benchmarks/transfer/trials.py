"""Trials of agents on test contexts: the best relative reward after several evaluation counts."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

import agents
from agents.policy_loaders import LOADERS, is_for
from amc_gym.suites.context import Context
from benchmarks.reports.statistics import best_so_far
from benchmarks.studies.execution import OnProgress
from benchmarks.studies.executor import Executor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import History
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer import rows
from benchmarks.transfer.logs import env_of
from benchmarks.transfer.rows import AFTER, Row


@dataclass(frozen=True)
class Trial:
    """One agent with one seed.

    Attributes:
        agent: name of the agent.
        seed: seed of all its random numbers.
        episodes: number of evaluations that it may spend.
        weights: file of the policy that is evaluated; ``None``: the agent has none.
        code: ``agents.fingerprint`` of its code and weights.
        called: name of the policy, if it differs from the file's.
    """

    agent: str
    seed: int
    episodes: int
    weights: Path | None
    code: str
    called: str = ""

    @property
    def policy(self) -> str:
        """Name of the policy that is evaluated; empty if there is none."""
        return self.called or ("" if self.weights is None else self.weights.stem)


@dataclass(frozen=True, eq=False)
class OnContext:
    """Trials on one context: a job for an executor.

    Attributes:
        context: context to carry them out on.
        trials: trials, in order.
    """

    context: Context
    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """Name of the job's process."""
        return str(self.context.name)

    @property
    def steps(self) -> int:
        """Number of evaluations that the trials may spend together."""
        return sum(trial.episodes for trial in self.trials)

    def __str__(self) -> str:
        return self.name


def middle_budgets(contexts: Sequence[Context], most: int | None) -> list[Context]:
    """Choose at most ``most`` contexts of each network, those of the middle budgets first."""
    networks: dict[str, list[Context]] = defaultdict(list)
    for context in contexts:
        networks[str(context.network)].append(context)
    chosen: list[Context] = []
    for each in networks.values():
        middle = (len(each) - 1) / 2
        order = sorted(range(len(each)), key=lambda place: abs(place - middle))
        chosen += [each[place] for place in sorted(order[:most])]
    return chosen


def trials_of(
    budgets: Mapping[str, int], seeds: int, weights: Sequence[Path] = ()
) -> tuple[Trial, ...]:
    """Return the trials of each context.

    Args:
        budgets: agent -> number of evaluations that it may spend.
        seeds: number of seeds of each agent that is not deterministic.
        weights: policies to evaluate with every agent that takes weights; by default its own.

    Raises:
        BenchmarkError: two files have the same name, so that rows could not tell them apart.
        OSError: a file cannot be read.
    """
    if len({path.stem for path in weights}) < len(weights):
        raise BenchmarkError(
            "--weights has two files of the same name, which identifies their rows: rename one"
        )
    judged = {agent: _policies(agent, weights) for agent in budgets}
    for path in weights:
        if not any(path.resolve() in paths for paths in judged.values()):
            raise BenchmarkError(
                f"--agents names no agent that can load {path}: add one of "
                f"{', '.join(f'{agent}=1' for agent in LOADERS.values())}"
            )
    found = []
    for agent, episodes in budgets.items():
        for path in judged[agent]:
            given = {} if path is None else {"weights": path}
            code = agents.fingerprint(agent, **given)
            for seed in range(1 if agents.is_deterministic(agent) else seeds):
                found.append(Trial(agent, seed, episodes, path, code))
    return tuple(found)


def _policies(agent: str, weights: Sequence[Path]) -> Sequence[Path | None]:
    """Return the files that an agent is to be evaluated with; ``None`` for one that takes none."""
    taken = inspect.signature(agents.FACTORIES[agent].factory).parameters.get("weights")
    if taken is None:
        return [None]
    mine = [path.resolve() for path in weights if is_for(path, agent)]
    if mine or taken.default is taken.empty:
        return mine
    return [Path(taken.default)]


def run(
    contexts: Sequence[Context],
    trials: Sequence[Trial],
    out: Path,
    executor: Executor,
    console: Console,
) -> bool:
    """Carry out trials on contexts, except those that the file already holds.

    Args:
        contexts: contexts of test suites.
        trials: trials on each of them.
        out: Parquet file of the rows, written after each trial.
        executor: executor that runs ``OnContext`` by ``work``.
        console: console to show progress on.

    Returns:
        True if no trial failed.
    """
    known = {rows.key(row): row for row in rows.load(out)}
    jobs = []
    for context in contexts:
        missing = tuple(trial for trial in trials if not _is_done(known, context, trial))
        if missing:
            jobs.append(OnContext(context, missing))

    def on_news(_: OnContext, news: Sequence[Row]) -> None:
        known.update({rows.key(row): row for row in news})
        rows.save(out, known.values())

    def finish(job: OnContext, found: Sequence[Row]) -> str:
        on_news(job, found)  # the last news of a job may not have been passed on
        seconds = sum(row["seconds"] for row in found)
        return escape(f"{job}: {len(found)} trials, {seconds:.0f} s")

    return carry_out(jobs, executor, console, finish, ("contexts", "evaluations"), on_news=on_news)


def _is_done(known: Mapping[rows.Key, Row], context: Context, trial: Trial) -> bool:
    row = known.get((str(context.name), trial.agent, trial.policy, trial.seed))
    return row is not None and row["code"] == trial.code and rows.reaches(row, trial.episodes)


def work(job: OnContext, on_progress: OnProgress) -> list[Row]:
    """Carry out trials, report each one's row as it comes, and return all rows."""
    spent, found = 0, []
    for trial in job.trials:
        before = spent
        row = _row(job.context, trial, lambda steps, before=before: on_progress(before + steps))
        spent += trial.episodes
        found.append(row)
        on_progress(spent, row)
    return found


def _row(context: Context, trial: Trial, on_progress: Any) -> Row:
    result, episodes = played(context, trial, on_progress), trial.episodes
    best = best_so_far(History.of(result.history), episodes)
    return {
        "context": context.name,
        "network": context.network,
        "group": context.group or "",
        "agent": trial.agent,
        "policy": trial.policy,
        "code": trial.code,
        "seed": trial.seed,
        **{f"after {n}": float(best[n - 1]) if n <= episodes else None for n in AFTER},
        "seconds": result.seconds,
    }


def played(
    context: Context, trial: Trial, on_progress: Callable[[int], None] | None
) -> agents.Result:
    """Carry out a trial on a context; ``on_progress`` is called after each evaluation."""
    given = {} if trial.weights is None else {"weights": trial.weights}
    agent = agents.make(trial.agent, env_of(context), trial.seed, **given)
    return agent.learn(trial.episodes, None, on_progress)
