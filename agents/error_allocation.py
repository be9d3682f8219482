"""Searchers of our own: they begin where the layers' errors say, and look around from there.

What a plan does to each layer is known before any evaluation: the least-squares factors say how
much of a layer's output is lost when it keeps k channels (`Engine.errors`, from the calibration
images).  The plan of least total error within the budget,

    minimise  sum over units of error_u(k_u)   so that the cost of k is within the budget,

is the first to be evaluated.  What the errors do not know is how much a loss in one layer matters
against a loss in another.  So a Gaussian process (Optuna's) searches one log-factor for each
unit's share of channels, zero being that first plan, and each plan is scaled to what the budget
just allows.  Near a good plan few evaluations are enough: the reward changes slowly with the
factors, and none of them wastes the budget.

That is `error-allocation`.  `loss-allocation` also weights each layer's error by how much the loss
reacts to it (`compression/ranking/sensitivity.py`): in full, by its square root, and not at all.
Which of the three is right depends on the network, by a lot where there are shortcuts, so all
three plans are evaluated, and the process looks around the best.

`output-allocation` goes by what becomes of a unit's pruning at the network's outputs, which is
measured once, every unit alone, on calibration images (`Engine.ablations`).
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
"""Bound of log-factors to either side: a share of channels is at most halved or doubled."""

DRAWN = 5
"""Plans drawn around the first one before the process is asked."""

CURVATURES = (1.0, 0.5, 0.0)
"""Powers of the loss's sensitivity that loss-allocation weights errors by."""


@register("error-allocation", kind="searcher", needs=NEEDS)
class ErrorAllocation:
    """A Gaussian process around the plan of least total error.

    Without a budget the share of the full cost is searched as well.

    Args:
        env: an AMC environment that prunes channels, in either action mode.
        seed: of the draws and the process.
        by: which errors, see ``Engine.errors``.  Of several those whose plan has the best reward
            are taken, at an evaluation each.
        prior: whether the errors say where to begin; otherwise it is at the uniform plan.
        process: whether the Gaussian process chooses; otherwise plans around the start are drawn.

    Raises:
        ValueError: the environment prunes single weights.
    """

    by: By
    """Errors that plans go by now."""

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
        # Allocated once for each; without a budget they depend on the size.
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
            if trial.number == 0:  # told, not evaluated again
                return rewards[self.by]
            return execute(self.env, self.plan(factors, size))[0]

        with learner_threads():
            study = begun(self._optuna, self.sampler, first)
            study.optimize(objective, n_trials=1 + episodes - len(rewards))

    def _start(self, by: By) -> tuple[int, ...] | None:
        """Return the plan that factors are of, if it is the same for all sizes."""
        budget = amc(self.env).budget
        if not self.prior:
            return budget.scaled(np.ones(len(budget.channels)))
        return None if budget.limit is None else self.least_error(by)

    def plan(self, factors: Sequence[float], size: float | None = None) -> tuple[int, ...]:
        """Return counts of the plan that log-factors name.

        Args:
            factors: of each unit's share of channels.
            size: where there is no budget, from 0, the smallest admissible cost, to 1, the full.
        """
        budget = amc(self.env).budget
        start = self.starts[self.by] or self.least_error(self.by, size)
        shares = np.array(start) / budget.channels * np.exp(factors)
        return budget.scaled(shares)

    def least_error(self, by: By, size: float | None = None) -> tuple[int, ...]:
        """Counts of the plan of least total error within the budget; without one, of a size."""
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
