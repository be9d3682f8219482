"""SB3's SAC, TD3, DDPG and PPO on a suite: one policy for many networks, saved to a file.

Rows of hyper-parameters are in rl_zoo3's schema, ``hyperparams/suite/``.  Numbers of steps in them
are those of all networks, whose episodes differ in length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import stable_baselines3
from stable_baselines3.common.callbacks import BaseCallback

from amc_gym._utils.names import choose
from amc_gym.suites.environment import make_suite_env
from amc_gym.suites.suite import Suite

from .sb3 import HYPERPARAMS, arguments, logging_in_memory, read_row
from .sb3_policy import Algorithm, dumped
from .sb3_ppo import wrapped
from .step_policy import Trained
from .threads import learner_threads

ALGORITHMS = get_args(Algorithm)
FOLDER = HYPERPARAMS / "suite"

LONGEST = 1_000
"""More steps than any network's episode has."""


def trained(
    algorithm: str,
    suite: Suite,
    episodes: int,
    seed: int,
    *,
    hyperparams: str | Path = FOLDER,
    changes: Mapping[str, Any] | None = None,
    on_episode: Callable[[int], None] = lambda episodes: None,
) -> bytes:
    """Train a policy, and return the content of its file.

    Args:
        algorithm: "sac", "td3", "ddpg" or "ppo".
        suite: suite whose contexts episodes are drawn from.
        episodes: number of episodes.
        seed: of contexts, networks, exploration and batches.
        hyperparams: folder of rl_zoo3 files.
        changes: entries of the row with other values.
        on_episode: called after each episode with the number of episodes.

    Raises:
        ValueError: the algorithm is unknown, the row asks for something that only rl_zoo3 supports,
            or for a schedule, which needs episodes of one length.
        OSError: there is no such row.
    """
    choose("algorithm", algorithm, ALGORITHMS)
    env = make_suite_env(suite)
    row = read_row(Path(hyperparams) / f"{algorithm}.yml", "AMC-Suite-v0") | dict(changes or {})
    if row.pop("callback", None):
        raise ValueError("callback: schedules need episodes of one length: leave it out")
    around = wrapped(env, row.pop("env_wrapper", None))
    make = getattr(stable_baselines3, algorithm.upper())
    model = logging_in_memory(make(env=around, seed=seed, device="cpu", **arguments(row, around)))
    with learner_threads():
        model.learn(episodes * LONGEST, callback=Episodes(episodes, on_episode), log_interval=None)
    features = env.observation_space.shape
    assert features is not None
    given = Trained(env.given.observation, env.given.action_mode, *features)
    return dumped(model, algorithm, given, suite=suite.name, episodes=episodes)  # pyright: ignore[reportArgumentType]


class Episodes(BaseCallback):
    """A callback that ends training after a number of episodes, and reports each.

    Args:
        most: number of episodes.
        on_episode: called after each episode with the number of episodes.
    """

    def __init__(self, most: int, on_episode: Callable[[int], None]) -> None:
        super().__init__()
        self.most, self.done, self._on_episode = most, 0, on_episode

    def _on_step(self) -> bool:
        if ended := int(self.locals["dones"].sum()):
            self.done += ended
            self._on_episode(min(self.done, self.most))
        return self.done < self.most
