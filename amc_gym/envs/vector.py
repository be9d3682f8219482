"""AMCVectorEnv: N episodes in lock-step, their plans evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import create_empty_array, iterate

from amc_gym._utils.arguments import described, shown, whole
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.engine import Engine
from amc_gym.envs.budget import Budget
from amc_gym.envs.compression_env import CompressionEnv
from amc_gym.envs.plain_spec import PlainSpec
from amc_gym.envs.problem import Problem
from amc_gym.envs.resetting import reset_options
from amc_gym.envs.sparsity import sparsity
from amc_gym.tasks.task import CompressionTask

MOST = 65_536
"""Sub-environments: each takes some kilobytes, and no batch of actions comes near."""

Step = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class AMCVectorEnv(PlainSpec, SyncVectorEnv):  # pyright: ignore[reportIncompatibleVariableOverride]
    """N episodes of `AMCEnv` in lock-step, in one process.

    ```python
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=8, preserve_ratio=0.3)
    observations, infos = envs.reset(seed=0)  # (8, 11)
    observations, rewards, terminations, truncations, infos = envs.step(actions)  # (8, 1)
    ```

    Observations, rewards and infos are, bit for bit, those of
    `SyncVectorEnv([...], autoreset_mode=AutoresetMode.SAME_STEP)` over N copies of `AMCEnv`,
    whose page says what they mean.  Two things are faster:

    * The plans of all episodes that end at a step are evaluated together
      (`Engine.evaluate`); copies of one environment always end together.  Those of a suite draw a
      context each, and those of them on one network are evaluated together.
    * Whether counts fit the budget, and what the network costs now, is worked out for all
      episodes at once.  That pays from about eight episodes on; for one take `gym.make`.

    ## Spaces

    | space                | is                                |
    |----------------------|-----------------------------------|
    | `observation_space`  | `Box(0, 1, (N, 11), float32)`     |
    | `action_space`       | `Box(0, 1, (N, 1), float32)`      |

    ## Episode end

    `metadata["autoreset_mode"]` is `AutoresetMode.SAME_STEP`: an episode that ends starts anew in
    the same step.  The observation is then the new episode's first one; the old one's last
    observation is in `infos["final_obs"][i]`, and what its last step said, `score`, `plan` and
    the rest, in `infos["final_info"]`.  As everywhere in Gymnasium, a key of `infos` holds an
    array over the sub-environments, and the key with `_` before it says which of them have it.

    `reset(options={"reset_mask": mask})` starts some episodes anew and lets the others go on, as
    in `SyncVectorEnv`; episodes that are out of step stay so, and those that end together are
    still evaluated together.  `preserve_ratio` in the options is the budget of the episodes that
    begin with this `reset`, see `AMCEnv`.

    ## What is shared

    Weights, reward images, rankings and least-squares factors exist once per process, however many
    environments it has, and so does the memory of evaluated plans.  A sub-environment is a list of
    counts, so N may be in the hundreds.

    ## Arguments

    `num_envs`, and all of the ids' keywords; Python's TypeError for others.

    ## Attributes

    | attribute                      | is                                                       |
    |--------------------------------|----------------------------------------------------------|
    | `task`, `engine`, `budget`     | those of every sub-environment                           |
    | `plans`                        | N latest finished plans, `None` where there is none yet  |
    | `envs`                         | the sub-environments, `AMCEnv`                           |

    ## Other vector environments

    `vectorization_mode="sync"` gives Gymnasium's `SyncVectorEnv`, and allows wrappers around each
    copy; it resets an episode in the step after its last one, unless
    `vector_kwargs={"autoreset_mode": "SameStep"}` says otherwise.

    `vectorization_mode="async"` runs each copy in a process of its own, with weights, data and
    factors of its own.  It needs `vector_kwargs={"context": "forkserver"}` (or `"spawn"`): a forked
    process stops forever at its first convolution if its parent has run one before.

    Raises:
        ValueError: as `AMCEnv`, or `num_envs` is below 1.
        OSError: weights or data are missing or damaged.
    """

    envs: list[CompressionEnv]  # type: ignore[assignment]  # of Env in the base class

    def __init__(self, make: Callable[[], CompressionEnv], num_envs: int) -> None:
        if not callable(make):
            raise TypeError(
                f"AMCVectorEnv needs a function that makes an AMCEnv, not {described(make)}: "
                'gym.make_vec("AMC-v0", num_envs=..., task=...) passes one'
            )
        num_envs = whole("num_envs", num_envs, at_least=1, at_most=MOST)
        super().__init__([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        for env in self.envs:
            env.share(self.envs[0])
        self.plans: list[CompressionPlan | None] = [None] * num_envs

    @property
    def engine(self) -> Engine:
        """The engine of the first sub-environment, of one network that of all."""
        return self.envs[0].engine

    @property
    def task(self) -> CompressionTask:
        """The task of the first sub-environment, of one network that of all."""
        return self.envs[0].task

    @property
    def budget(self) -> Budget:
        """Counts that the first sub-environment's episode may keep."""
        return self.envs[0].budget

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start all episodes anew, or those of ``options["reset_mask"]``, (N,) bool.

        Args:
            seed: of all, each one more than the one before; or one for each.
            options: see above.

        Raises:
            TypeError: a seed is no number, or the options are no mapping.
            ValueError: there are not N seeds, one is below 0, or there is another option.
        """
        if isinstance(seed, list | tuple) or (isinstance(seed, np.ndarray) and seed.ndim):
            seeds = [None if one is None else _seed(one) for one in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(
                    f"seeds must be {self.num_envs}, one for each environment, not {len(seeds)}"
                )
        else:
            seeds = None if seed is None else _seed(seed)
        first = self.envs[0]
        known = (*first.problems.options, "reset_mask")
        found = reset_options(options, first.arguments, known)
        if "reset_mask" in found:
            self._check_mask(found["reset_mask"])
        return super().reset(seed=seeds, options=None if options is None else found)

    def _check_mask(self, mask: object) -> None:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(
                f"options['reset_mask'] must be a NumPy array of truth values, not {shown(mask)}"
            )
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must have one value for each of {self.num_envs} "
                f"environments, and not only False, not {shown(mask)}"
            )
        if any(env.fresh for env in self.envs):
            raise ValueError("options['reset_mask'] needs episodes to go on: call reset() first")

    @property
    def steps_per_episode(self) -> int:
        """T, the number of units: of one network every episode has as many steps."""
        return self.envs[0].steps_per_episode

    def step(self, actions: np.ndarray) -> Step:
        """Decide the next unit of each episode; those that end are evaluated and start anew.

        Args:
            actions: sparsity ratios, (N, 1).

        Raises:
            ValueError: an action has another shape than (1,) or is NaN; no episode has gone on.
            gymnasium.error.ResetNeeded: ``reset`` was never called.
        """
        sparsities = self._sparsities(actions)
        episodes = [env.running() for env in self.envs]
        observations = create_empty_array(self.single_observation_space, self.num_envs, np.empty)
        rewards = np.zeros(self.num_envs)
        terminations = np.zeros(self.num_envs, dtype=bool)
        infos: dict[str, Any] = {}
        # Copies of one environment are at the same unit, unless a masked reset set some back.
        for members in self._alike(episodes):
            problem = self.envs[members[0]].problem
            executed = np.array([episodes[i] for i in members], dtype=np.int64)
            ratios = [sparsities[i] for i in members]
            kept = problem.mode.decide_all(executed, ratios)
            for i, count in zip(members, kept.tolist(), strict=True):
                episodes[i].append(count)
            seen = problem.observation.observe_all(np.column_stack((executed, kept)))
            _put(observations, members, seen)
            if executed.shape[1] + 1 < len(problem):
                self._tell(infos, members, problem, kept)
            else:
                terminations[members] = True
                self._finish(infos, members, problem, observations, rewards)
        # Where masked resets take those of the others.
        self._env_obs = list(iterate(self.observation_space, deepcopy(observations)))
        return observations, rewards, terminations, np.zeros_like(terminations), infos

    def _sparsities(self, actions: Any) -> list[float]:
        """Return the actions as ratios in [0, 1]."""
        n = self.num_envs
        if isinstance(actions, np.ndarray) and actions.shape == (n, 1):
            ratios = np.clip(actions[:, 0].astype(np.float64), 0, 1)
            if not np.isnan(ratios).any():
                return ratios.tolist()
        rows = list(actions) if np.iterable(actions) else [actions]
        if len(rows) != n:
            raise ValueError(f"the actions must have shape ({n}, 1), one row per sub-environment")
        ratios = []
        for i, row in enumerate(rows):
            try:
                ratios.append(sparsity(row))
            except (TypeError, ValueError) as error:
                raise type(error)(f"sub-environment {i}: {error}") from None
        return ratios

    def _tell(
        self, infos: dict[str, Any], members: Sequence[int], problem: Problem, kept: np.ndarray
    ) -> None:
        """Add what ``members`` decided last: `Problem.decided` of each."""
        unit = problem.units[len(self.envs[members[0]].counts) - 1]
        told = {
            "layer": np.array(unit.name, dtype=object),
            "sparsity": 1 - kept / unit.channels,
            "channels" if unit.inputs is None else "weights": kept,
        }
        for key, values in told.items():
            if key not in infos:
                nothing = None if values.dtype == object else 0
                infos[key] = np.full(self.num_envs, nothing, dtype=values.dtype)
                infos[f"_{key}"] = np.zeros(self.num_envs, dtype=bool)
            infos[key][members] = values
            infos[f"_{key}"][members] = True

    def _finish(
        self,
        infos: dict[str, Any],
        members: Sequence[int],
        problem: Problem,
        observations: Any,
        rewards: np.ndarray,
    ) -> None:
        """Evaluate the plans of ``members`` and start anew; fill in their rows and infos."""
        plans = [self.envs[i].counts for i in members]
        for i, found in zip(members, problem.engine.evaluate(plans), strict=True):
            rewards[i], info = self.envs[i].finish(found)
            self.plans[i] = self.envs[i].plan
            final = {"final_obs": _row(observations, i), "final_info": info}
            self._add_info(infos, final, i)
            first, told = self.envs[i].reset()
            _put(observations, i, first)
            self._add_info(infos, told, i)

    def _alike(self, episodes: Sequence[Sequence[int]]) -> list[list[int]]:
        """Sub-environments that stand at one unit of one problem, together."""
        groups: dict[tuple[int, int], list[int]] = {}
        for i, (env, executed) in enumerate(zip(self.envs, episodes, strict=True)):
            groups.setdefault((id(env.problem), len(executed)), []).append(i)
        return list(groups.values())


def _seed(value: object) -> int:
    return whole("seed", value, at_least=0, otherwise=" or None, or one for each sub-environment")


def _put(observations: Any, where: int | Sequence[int], rows: Any) -> None:
    """Set rows of observations, arrays or dictionaries of them."""
    if isinstance(observations, dict):
        for key, value in observations.items():
            value[where] = rows[key]
    else:
        observations[where] = rows


def _row(observations: Any, where: int) -> Any:
    """Return a copy of one row of observations."""
    if isinstance(observations, dict):
        return {key: value[where].copy() for key, value in observations.items()}
    return observations[where].copy()
