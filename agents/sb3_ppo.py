"""Stable-Baselines3's PPO, from rows of hyper-parameters in rl_zoo3's schema.

| name            | row                   | rollout                                |
|-----------------|-----------------------|----------------------------------------|
| sb3-ppo         | hyperparams/paper/ppo | 8 episodes, minibatches of 2           |
| sb3-ppo-default | hyperparams/sb3/ppo   | SB3's 2,048 steps, minibatches of 64   |

PPO is on-policy, so a budget means something else than in `agents.sb3`: rollouts are whole numbers
of steps, and learning stops when the episodes are spent, if necessary in the middle of a rollout.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from .plans import steps_per_episode
from .registry import register
from .sb3 import (
    HYPERPARAMS,
    NEEDS,
    arguments,
    logged,
    logging_in_memory,
    named_classes,
    read_row,
)
from .threads import learner_threads

if TYPE_CHECKING:
    from stable_baselines3 import PPO

ROLLOUT_EPISODES, BATCH_EPISODES = 8, 2
"""Settings of sb3-ppo: 49 updates in 400 episodes.  They are ours, as the paper has no PPO."""


class SB3PPO:
    """PPO on one environment, on the CPU.

    Args:
        env: an AMC environment.
        seed: of networks, exploration and batches.  SB3 seeds and uses the global generators of
            numpy, torch and random, so two learners must not be interleaved.
        hyperparams: folder in ``agents/hyperparams``, or any folder of rl_zoo3 files.
        in_episodes: whether rollouts and minibatches have ``ROLLOUT_EPISODES`` and
            ``BATCH_EPISODES`` instead of the row's steps.
        changes: entries of the row with other values, as in ``batch_size=128``.

    Raises:
        ValueError: the row asks for something that only rl_zoo3 supports.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        seed: int,
        *,
        hyperparams: str | Path,
        in_episodes: bool = False,
        **changes: Any,
    ) -> None:
        from stable_baselines3 import PPO

        (path,) = self.hyperparameter_files(hyperparams=hyperparams)
        row = read_row(path, env.spec and env.spec.id)
        self._steps = steps_per_episode(env)
        if in_episodes:
            row["n_steps"] = ROLLOUT_EPISODES * self._steps
            row["batch_size"] = BATCH_EPISODES * self._steps
        row |= changes
        env = wrapped(env, row.pop("env_wrapper", None))
        self.model: PPO = logging_in_memory(
            PPO(env=env, seed=seed, device="cpu", **arguments(row, env))
        )

    @staticmethod
    def hyperparameter_files(*, hyperparams: str | Path = "", **_: Any) -> list[Path]:
        """Return the file of its row; for a subclass that chooses a row itself, all files."""
        if not hyperparams:
            return sorted(HYPERPARAMS.rglob("ppo.yml"))
        return [HYPERPARAMS / hyperparams / "ppo.yml"]

    def diagnostics(self) -> dict[str, float]:
        """Return what the model has logged of its last updates, such as train/actor_loss."""
        return logged(self.model)

    def learn(self, episodes: int) -> None:
        """Finish ``episodes`` episodes, T steps each."""
        from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes

        with learner_threads():
            self.model.learn(
                episodes * self._steps,
                callback=StopTrainingOnMaxEpisodes(episodes),
                log_interval=None,  # type: ignore[arg-type]
            )


def wrapped(env: gym.Env[Any, Any], wrappers: Any) -> gym.Env[Any, Any]:
    """Return the environment in the wrappers of a row's ``env_wrapper``, the first innermost.

    Args:
        env: the environment.
        wrappers: a class's name, {name: arguments}, or a list of them.
    """
    for wrapper, kwargs in named_classes(wrappers):
        env = wrapper(env, **kwargs)
    return env


register("sb3-ppo", kind="learner", needs=NEEDS)(
    partial(SB3PPO, hyperparams="paper", in_episodes=True)
)
register("sb3-ppo-default", kind="learner", needs=NEEDS)(partial(SB3PPO, hyperparams="sb3"))
