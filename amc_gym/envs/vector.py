"""AMCVectorEnv: N episodes that step together, with their plans evaluated in batches."""

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
"""Most sub-environments: each takes some kilobytes, and no agent needs as many."""

Step = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class AMCVectorEnv(PlainSpec, SyncVectorEnv):  # pyright: ignore[reportIncompatibleVariableOverride]
    """N episodes of `AMCEnv` that step together, in one process.

    ```python
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=8, preserve_ratio=0.3)
    observations, infos = envs.reset(seed=0)  # (8, 11)
    observations, rewards, terminations, truncations, infos = envs.step(actions)  # (8, 1)
    ```

    Observations, rewards and infos are, bit for bit, those of
    `SyncVectorEnv([...], autoreset_mode=AutoresetMode.SAME_STEP)` over N copies of `AMCEnv`, whose
    docstring explains them.  Two things are faster:

    * The plans of all episodes that end in the same step are evaluated together
      (`Engine.evaluate`); copies of one environment always end together.  In a suite each
      sub-environment draws its own context, and those with the same network are evaluated together.
    * Budgets and costs are computed for all episodes at once.  That pays off from about eight
      episodes; for a single one use `gym.make`.

    ## Spaces

    | space                | value                             |
    |----------------------|-----------------------------------|
    | `observation_space`  | `Box(0, 1, (N, 11), float32)`     |
    | `action_space`       | `Box(0, 1, (N, 1), float32)`      |

    ## Episode end

    `metadata["autoreset_mode"]` is `AutoresetMode.SAME_STEP`: when an episode ends, the next one
    starts in the same step.  The returned observation is then the first of the new episode; the
    last observation of the old one is in `infos["final_obs"][i]`, and its last info, with `score`,
    `plan` and the rest, in `infos["final_info"]`.  As everywhere in Gymnasium, a key of `infos`
    holds an array over the sub-environments, and the key with a leading `_` says which have it.

    `reset(options={"reset_mask": mask})` starts some episodes anew and lets the others go on, as
    in `SyncVectorEnv`; episodes then stay out of step, and those that end together are still
    evaluated together.  `preserve_ratio` in the options is the budget of the episodes that this
    `reset` starts, see `AMCEnv`.

    ## What is shared

    Weights, reward images, rankings, least-squares factors and remembered plans exist once per
    process, for any number of environments.  A sub-environment is just a list of counts, so N may
    be in the hundreds.

    ## Arguments

    `num_envs`, and all keywords of the ids; others raise Python's TypeError.

    ## Attributes

    | attribute                      | value                                                    |
    |--------------------------------|----------------------------------------------------------|
    | `task`, `engine`, `budget`     | those of every sub-environment                           |
    | `plans`                        | the latest finished plan of each, `None` if there is none |
    | `envs`                         | the sub-environments, `AMCEnv`                           |

    ## Other vector environments

    `vectorization_mode="sync"` gives Gymnasium's `SyncVectorEnv`, which allows wrappers around each
    copy; it resets an episode in the step after its last one, unless
    `vector_kwargs={"autoreset_mode": "SameStep"}` is given.

    `vectorization_mode="async"` runs each copy in its own process, with its own weights, data and
    factors.  It needs `vector_kwargs={"context": "forkserver"}` (or `"spawn"`): a forked process
    hangs at its first convolution if its parent has run one before.

    Raises:
        ValueError: as `AMCEnv`, or `num_envs` is below 1.
        OSError: weights or data are missing or damaged.
    """

    envs: list[CompressionEnv]  # type: ignore[assignment]  # of Env in the base class

    def __init__(self, make: Callable[[], CompressionEnv], num_envs: int) -> None:
        if not callable(make):
            raise TypeError(
                f"AMCVectorEnv takes a function that makes an AMCEnv, not {described(make)}: "
                'gym.make_vec("AMC-v0", num_envs=..., task=...) passes one'
            )
        num_envs = whole("num_envs", num_envs, at_least=1, at_most=MOST)
        super().__init__([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        for env in self.envs:
            env.share(self.envs[0])
        self.plans: list[CompressionPlan | None] = [None] * num_envs

    @property
    def engine(self) -> Engine:
        """The engine of the first sub-environment; with one network, of all."""
        return self.envs[0].engine

    @property
    def task(self) -> CompressionTask:
        """The task of the first sub-environment; with one network, of all."""
        return self.envs[0].task

    @property
    def budget(self) -> Budget:
        """The budget of the first sub-environment's episode."""
        return self.envs[0].budget

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start all episodes anew, or those of ``options["reset_mask"]``, (N,) bool.

        Args:
            seed: of the first episode, and one more for each further one; or one seed for each.
            options: see the class.

        Raises:
            TypeError: a seed is not a number, or the options are not a mapping.
            ValueError: there are not N seeds, one is below 0, or an option is unknown.
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
                f"options['reset_mask'] must be a NumPy array of booleans, not {shown(mask)}"
            )
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must have one value for each of {self.num_envs} "
                f"environments, at least one of them True, not {shown(mask)}"
            )
        if any(env.fresh for env in self.envs):
            raise ValueError("options['reset_mask'] needs running episodes: call reset() first")

    @property
    def steps_per_episode(self) -> int:
        """T, the number of units, which is the number of steps of an episode with one network."""
        return self.envs[0].steps_per_episode

    def step(self, actions: np.ndarray) -> Step:
        """Decide the next unit of each episode; those that end are evaluated and start anew.

        Args:
            actions: sparsity ratios, (N, 1).

        Raises:
            ValueError: an action's shape is not (1,), or it is NaN; no episode has then moved on.
            gymnasium.error.ResetNeeded: ``reset`` was never called.
        """
        sparsities = self._sparsities(actions)
        episodes = [env.running() for env in self.envs]
        observations = create_empty_array(self.single_observation_space, self.num_envs, np.empty)
        rewards = np.zeros(self.num_envs)
        terminations = np.zeros(self.num_envs, dtype=bool)
        infos: dict[str, Any] = {}
        # Copies of one environment are at the same unit, unless a masked reset restarted some.
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
                self._add_decisions(infos, members, problem, kept)
            else:
                terminations[members] = True
                self._finish(infos, members, problem, observations, rewards)
        # Masked resets take the observations of the others from here.
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

    def _add_decisions(
        self, infos: dict[str, Any], members: Sequence[int], problem: Problem, kept: np.ndarray
    ) -> None:
        """Add the info about what ``members`` decided last, see `Problem.decided`."""
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
        """Evaluate the plans of ``members``, restart them, and fill in their rows and infos."""
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
        """Group the sub-environments that are at the same unit of the same problem."""
        groups: dict[tuple[int, int], list[int]] = {}
        for i, (env, executed) in enumerate(zip(self.envs, episodes, strict=True)):
            groups.setdefault((id(env.problem), len(executed)), []).append(i)
        return list(groups.values())


def _seed(value: object) -> int:
    return whole("seed", value, at_least=0, otherwise=" or None, or one for each sub-environment")


def _put(observations: Any, where: int | Sequence[int], rows: Any) -> None:
    """Set rows of observations, which are arrays or dictionaries of arrays."""
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
