"""NetAdapt: greedy pruning, each round the reduction that costs the least accuracy.

Yang et al., "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications", ECCV
2018.  A round reduces the network's cost by a constant share of what is left, like the authors'
decaying schedules.  For each unit there is one candidate, which reaches the round's target by
pruning that unit alone, by no more channels than necessary; all candidates are evaluated, and the
most accurate one is the next round's network.

Candidates are evaluated as the environment evaluates plans (with its recovery instead of NetAdapt's
short fine-tuning), and each counts as an evaluation.  The budget of evaluations determines the
number of rounds; the more rounds, the smaller the steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym.envs.batched_evaluation import evaluated_ahead

from .plans import amc, execute
from .recording import Recorder
from .registry import register


@register("netadapt", kind="searcher", deterministic=True)
class NetAdapt:
    """Greedy reduction, unit by unit; deterministic.

    Without a budget each round's network is a plan of its own, down to the smallest network.  With
    fewer evaluations than one round takes, only the uniform plan is evaluated.

    Args:
        env: an AMC environment in either action mode, with recording.
        seed: has no effect.

    Raises:
        TypeError: the environment does not record, which ``agents.make`` arranges.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        if not isinstance(env, Recorder):
            raise TypeError("NetAdapt needs a Recorder: make it by agents.make('netadapt', …)")
        self.env = env
        self.budget, self.cost = amc(env).budget, amc(env).cost

    def learn(self, episodes: int) -> None:
        """Spend at most ``episodes`` evaluations."""
        budget = self.budget
        counts = tuple(budget.channels)
        least = tuple(choices[0] for choices in budget.admissible)
        goal = self.cost.total(least) if budget.limit is None else budget.limit
        per_round = len(counts) + 1  # every unit's candidate, and an episode at the end
        rounds = episodes // per_round if budget.limit is None else (episodes - 1) // len(counts)
        spent, full = 0, self.cost.full
        for n in range(1, rounds + 1):
            target = max(goal, round(full * (goal / full) ** (n / rounds)))
            counts, evaluated = self.round(counts, target, episodes - 1 - spent)
            spent += evaluated
            if budget.limit is None:
                execute(self.env, counts)
                spent += 1
        if budget.limit is not None or not rounds:
            # If no unit can reach a target alone, all units together give up what still exceeds
            # the budget.
            shares = np.array(counts) / budget.channels
            execute(self.env, counts if budget.admits(counts) else budget.scaled(shares))

    def round(
        self, counts: tuple[int, ...], target: int, evaluations: int
    ) -> tuple[tuple[int, ...], int]:
        """Return the most accurate candidate, and the number of evaluations that took.

        If no unit reaches the target alone, each candidate reduces its unit as far as possible.

        Args:
            counts: of the network so far.
            target: cost to reach.
            evaluations: number of evaluations that may be spent.
        """
        if self.cost.total(counts) <= target:
            return counts, 0
        candidates = list(self.candidates(counts, target))
        reaching = [each for each in candidates if self.cost.total(each) <= target]
        chosen = (reaching or candidates)[:evaluations]
        if not chosen:
            return counts, 0
        if len(chosen) == 1:  # nothing to choose
            return chosen[0], 0
        accuracies = [self.env.aside(each) for each in evaluated_ahead(self.env, chosen)]
        return chosen[int(np.argmax(accuracies))], len(chosen)

    def candidates(self, counts: Sequence[int], target: int) -> Iterator[tuple[int, ...]]:
        """Yield, for each unit, the plan with its largest count that reaches the target."""
        for unit, (count, choices) in enumerate(zip(counts, self.budget.admissible, strict=True)):
            smaller = choices[: bisect_right(choices, count) - 1]
            if smaller:
                costs = partial(self._cost_with, counts, unit)
                reach = bisect_right(smaller, target, key=costs)
                yield _with(counts, unit, smaller[max(reach - 1, 0)])

    def _cost_with(self, counts: Sequence[int], unit: int, count: int) -> int:
        return self.cost.total(_with(counts, unit, count))


def _with(counts: Sequence[int], unit: int, count: int) -> tuple[int, ...]:
    """Return the counts with that of one unit replaced."""
    return (*counts[:unit], count, *counts[unit + 1 :])
