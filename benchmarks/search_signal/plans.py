"""Random plans, spread over a range of sizes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from agents.plans import execute
from agents.rules import largest
from amc_gym import CompressionPlan
from amc_gym.envs.amc import AMCEnv
from amc_gym.tasks.task import CompressionTask

LEAST = 5
"""Percent: no unit's share of the sparsity is drawn below this."""


@dataclass(frozen=True)
class Drawn:
    """A plan, and its MACs and parameters as shares of the full network's."""

    plan: CompressionPlan
    macs_ratio: float
    params_ratio: float


def draw(task: CompressionTask, n: int, ratios: tuple[float, float], seed: int = 0) -> list[Drawn]:
    """``n`` plans whose budgets are spaced evenly over a range.

    Each is the largest plan within its budget whose units' sparsities are proportional to
    independent uniform draws.

    Args:
        task: what is compressed.
        n: how many plans.
        ratios: least and greatest share of the MACs to keep.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    plans = []
    for ratio in np.linspace(*ratios, n):
        env = AMCEnv(task, preserve_ratio=float(ratio))
        percents = rng.integers(LEAST, 101, size=len(env.budget.channels))
        sparsities = [Fraction(int(percent), 100) for percent in percents]
        execute(env, largest(env.budget, lambda _, drawn=sparsities: drawn))
        measured = env.plan.measured
        shares = {name: measured[name] / cost.full for name, cost in env.engine.costs.items()}
        plans.append(Drawn(env.plan, shares["macs"], shares["params"]))
    return plans
