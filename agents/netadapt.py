"""NetAdapt: greedily, layer by layer, always the reduction that costs the least accuracy.

Yang et al., "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications", ECCV
2018.  A round brings the network's cost down by a constant share of what is left, as the authors'
schedules decay.  For each unit there is one candidate, which reaches the round's target by that
unit alone and takes no more channels than that needs; all are evaluated, and the most accurate one
is the next round's network.

Candidates are evaluated as the environment evaluates plans (its recovery in place of NetAdapt's
short fine-tuning), and each counts as an evaluation.  The budget of evaluations decides how many
rounds there are; the more, the smaller the steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym.envs.ahead import evaluated_ahead

from .plans import amc, execute
from .recording import Recorder
from .registry import register


@register("netadapt", kind="searcher", deterministic=True)
class NetAdapt:
    """Greedy reduction, layer by layer; deterministic.

    Without a budget each round's network is a plan of its own, down to the smallest network.  With
    fewer evaluations than one round takes, what is evaluated is the uniform plan.

    Args:
        env: an AMC environment in either action mode, recorded.
        seed: nothing depends on it.

    Raises:
        TypeError: the environment is not recorded, as ``agents.make`` does.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        if not isinstance(env, Recorder):
            raise TypeError("NetAdapt evaluates on the side: make it by agents.make('netadapt', …)")
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
            # Where none of the units could reach a target alone, what is still over the budget all
            # units give alike.
            shares = np.array(counts) / budget.channels
            execute(self.env, counts if budget.admits(counts) else budget.scaled(shares))

    def round(
        self, counts: tuple[int, ...], target: int, evaluations: int
    ) -> tuple[tuple[int, ...], int]:
        """Return the most accurate of the candidates, and how many evaluations that took.

        Where no unit reaches the target alone, the candidates take as much as each can.

        Args:
            counts: of the network so far.
            target: cost that it is to reach.
            evaluations: how many may be spent.
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
        """For each unit, the largest count that reaches the target, or its least one."""
        for unit, (count, choices) in enumerate(zip(counts, self.budget.admissible, strict=True)):
            smaller = choices[: bisect_right(choices, count) - 1]
            if smaller:
                costs = partial(self._cost_with, counts, unit)
                reach = bisect_right(smaller, target, key=costs)
                yield _with(counts, unit, smaller[max(reach - 1, 0)])

    def _cost_with(self, counts: Sequence[int], unit: int, count: int) -> int:
        return self.cost.total(_with(counts, unit, count))


def _with(counts: Sequence[int], unit: int, count: int) -> tuple[int, ...]:
    """Return the counts, but of one unit."""
    return (*counts[:unit], count, *counts[unit + 1 :])
