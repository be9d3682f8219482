"""Runs as scores between 0 and 1 that mean the same on every task.

    score = (accuracy - uniform's) / (full network's - uniform's)

0 is the uniform plan's accuracy at the same budget, and 1 the uncompressed network's: the share of
the uniform plan's loss that a search recovers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.reports.statistics import best_so_far, iqm
from benchmarks.studies.records import Record
from benchmarks.studies.runs import BenchmarkError, Setting, distinguished

ZERO = "uniform"
SCORED = ("accuracy", "score", "relative")
"""Rewards that depend on the accuracy alone."""

POINTS = 100
"""Number of points of a curve: one after each hundredth of the budget."""


@dataclass(frozen=True)
class Scores:
    """All runs of one agent, task by task in the same order for every agent.

    Attributes:
        agent: its name.
        reward: scores of the best plans on the reward images, (seeds,) for each task.
        test: scores of the same plans on the test images.
        curves: best scores so far, (seeds, POINTS); NaN before the first evaluation.
    """

    agent: str
    reward: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    curves: tuple[np.ndarray, ...]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return sum(map(len, self.reward))

    @property
    def score(self) -> float:
        """Interquartile mean over all runs, on the reward images."""
        return float(iqm(np.concatenate(self.reward)))


def scores_of(records: Iterable[Record]) -> tuple[list[Scores], list[Setting], list[str]]:
    """Return the scores of every agent that was run on all tasks.

    Returns:
        The scores, best first; the tasks; and the agents that were not run on every task.

    Raises:
        BenchmarkError: a task has no uniform plan or a reward that does not depend on the accuracy
            alone, or its uniform plan loses nothing.
    """
    tasks: dict[Setting, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    records = list(records)
    runs = distinguished(record.run for record in records)
    for record in records:
        tasks[record.run.setting][runs[record.run].label].append(record)
    settings = sorted(tasks, key=lambda setting: (setting.env, setting.digest))
    everywhere = set.intersection(*(set(tasks[setting]) for setting in settings))
    somewhere = {agent for setting in settings for agent in tasks[setting]}
    made = [_scores(agent, [tasks[setting] for setting in settings]) for agent in everywhere]
    ordered = sorted(made, key=lambda each: (-each.score, each.agent))
    return ordered, settings, sorted(somewhere - everywhere)


def _scores(agent: str, tasks: Sequence[dict[str, list[Record]]]) -> Scores:
    reward, test, curves = [], [], []
    for task in tasks:
        records = sorted(task[agent], key=lambda record: record.run.seed)
        setting = records[0].run.setting
        on_reward = _scale(task, lambda r: r.best.reward_accuracy, records[0].full.reward_accuracy)
        on_test = _scale(task, lambda r: r.best.test_accuracy, records[0].full.test_accuracy)
        reward.append(on_reward(np.array([r.best.reward_accuracy for r in records])))
        test.append(on_test(np.array([r.best.test_accuracy for r in records])))
        after = np.ceil(np.arange(1, POINTS + 1) / POINTS * setting.episodes).astype(int) - 1
        # Made from accuracies, independent of the reward's scale.
        histories = [replace(r.history, reward=r.history.accuracy) for r in records]
        best = np.stack([best_so_far(each, setting.episodes)[after] for each in histories])
        curves.append(on_reward(best))
    return Scores(agent, tuple(reward), tuple(test), tuple(curves))


def _scale(
    task: dict[str, list[Record]], accuracy: Callable[[Record], float], full: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from accuracies on a task to scores."""
    setting = next(iter(task.values()))[0].run.setting
    if setting.options["reward"] not in SCORED:
        raise BenchmarkError(
            f"{setting.env} with reward={setting.options['reward']!r}: only runs with "
            "reward='accuracy' or 'relative' have scores that can be compared over tasks"
        )
    if ZERO not in task:
        raise BenchmarkError(
            f"{setting.env} has no run of {ZERO!r}, which scores are measured from: run it with "
            "the same options and --episodes"
        )
    zero = accuracy(task[ZERO][0])
    if full <= zero:
        raise BenchmarkError(
            f"{setting.env}: the uniform plan loses nothing ({zero:.1%} of {full:.1%}), so there "
            "is nothing to score: choose a smaller budget"
        )
    return lambda values: (values - zero) / (full - zero)
