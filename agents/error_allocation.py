"""Searchers that start from the layers' errors and search around that plan.

The effect of a plan on each layer is known before any evaluation: the least-squares factors tell
how much of a layer's output is lost when it keeps k channels (`Engine.errors`, from the calibration
images).  The plan of least total error within the budget,

    minimise  sum over units of error_u(k_u)   so that the cost of k is within the budget,

is evaluated first.  The errors do not tell how much a loss in one layer matters compared to a loss
in another.  So a Gaussian process (Optuna's) searches one log-factor for each unit's share of
channels, where zero stands for that first plan, and each plan is scaled to use up the budget.  Near
a good plan few evaluations are enough, because the reward changes slowly with the factors, and no
evaluation leaves room in the budget.

That is `error-allocation`.  `loss-allocation` also weights each layer's error by the loss's
sensitivity to it (`compression/ranking/sensitivity.py`): in full, by its square root, and not at
all.  Which of the three is best depends strongly on the network if it has shortcuts, so all three
plans are evaluated, and the process searches around the best.

`output-allocation` uses the errors that pruning a unit causes in the network's outputs, which are
measured once, for every unit alone, on calibration images (`Engine.ablations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym.engine.engine import By
from amc_gym.envs.allocation import allocate

from .black_box import NEEDS, SAMPLERS, begun, gaussian_process, quiet_optuna
from .plans import amc, execute
from .registry import register
from .threads import learner_threads

RANGE = 0.7
"""Largest absolute log-factor: a share of channels is at most halved or doubled."""

DRAWN = 5
"""Number of plans drawn around the first one before the process is used."""

CURVATURES = (1.0, 0.5, 0.0)
"""Powers of the loss's sensitivity that loss-allocation weights errors by."""


@register("error-allocation", kind="searcher", needs=NEEDS)
class ErrorAllocation:
    """An agent that searches with a Gaussian process around the plan of least total error.

    Without a budget it also searches the share of the full cost.

    Args:
        env: an AMC environment that prunes channels, in either action mode.
        seed: of the draws and the process.
        by: kinds of errors, see ``Engine.errors``.  Of several, those whose plan has the best
            reward are used, at the cost of an evaluation each.
        prior: whether to start from the plan of least error rather than the uniform plan.
        process: whether the Gaussian process chooses plans; otherwise they are drawn around the
            start.

    Raises:
        ValueError: the environment prunes weights.
    """

    by: By
    """The kind of errors in use."""

    def __init__(
        self,
        env: gym.Env[Any, Any],
        seed: int,
        *,
        by: Sequence[By] = (0.0,),
        prior: bool = True,
        process: bool = True,
    ) -> None:
        self._optuna = quiet_optuna()
        self.env, self.prior = env, prior
        self.errors = dict(zip(by, amc(env).engine.errors(*by), strict=True))
        # Allocated once for each kind of errors; without a budget the plans depend on the size.
        self.starts = {each: self._start(each) for each in by}
        self.by = by[0]
        self.sampler = (
            gaussian_process(seed, drawn=DRAWN)
            if process
            else SAMPLERS["random-shares"](self._optuna.samplers, seed)
        )

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans, those of least total error first."""
        names = [str(unit) for unit in range(len(amc(self.env).budget.channels))]
        first = dict.fromkeys(names, 0.0)
        size = None
        if amc(self.env).budget.limit is None:
            size = first["size"] = 0.5
        rewards: dict[By, float] = {}
        for each in list(self.errors)[:episodes]:
            self.by = each
            plan = self.plan([0.0] * len(names), size)
            rewards[self.by] = execute(self.env, plan)[0]
        self.by = max(rewards, key=rewards.__getitem__)

        def objective(trial: Any) -> float:
            factors = [trial.suggest_float(name, -RANGE, RANGE) for name in names]
            size = trial.suggest_float("size", 0.0, 1.0) if "size" in first else None
            if trial.number == 0:  # known already, not evaluated again
                return rewards[self.by]
            return execute(self.env, self.plan(factors, size))[0]

        with learner_threads():
            study = begun(self._optuna, self.sampler, first)
            study.optimize(objective, n_trials=1 + episodes - len(rewards))

    def _start(self, by: By) -> tuple[int, ...] | None:
        """Return the plan that factors refer to, if it is the same for all sizes."""
        budget = amc(self.env).budget
        if not self.prior:
            return budget.scaled(np.ones(len(budget.channels)))
        return None if budget.limit is None else self.least_error(by)

    def plan(self, factors: Sequence[float], size: float | None = None) -> tuple[int, ...]:
        """Return the counts of the plan with given log-factors.

        Args:
            factors: log-factor of each unit's share of channels.
            size: without a budget, from 0, the smallest admissible cost, to 1, the full cost.
        """
        budget = amc(self.env).budget
        start = self.starts[self.by] or self.least_error(self.by, size)
        shares = np.array(start) / budget.channels * np.exp(factors)
        return budget.scaled(shares)

    def least_error(self, by: By, size: float | None = None) -> tuple[int, ...]:
        """Return counts of least total error within the budget, or for a size without one."""
        inner = amc(self.env)
        limit = inner.budget.limit
        if limit is None:
            assert size is not None, "without a budget a size is needed"
            least = inner.cost.total([counts[0] for counts in inner.budget.admissible])
            limit = int(least + size * (inner.cost.full - least))
        return allocate(inner.budget, inner.cost, self.errors[by], limit)


register("loss-allocation", kind="searcher", needs=NEEDS)(partial(ErrorAllocation, by=CURVATURES))
register("output-allocation", kind="searcher", needs=NEEDS)(
    partial(ErrorAllocation, by=("outputs",))
)
