"""SB3 replay that gives each transition its episode's final reward (paper, section 3.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize


class EpisodeReturnReplayBuffer(ReplayBuffer):
    """A replay buffer that stores each transition with its episode's final reward.

    Transitions of an episode are held back until it ends.  Rewards are stored raw; the baseline b,
    a moving average over the episodes' final rewards, is subtracted when a batch is drawn, so that
    every transition of a batch has the same b.

    Several environments (``n_envs > 1``) have to end their episodes together, as copies of one AMC
    environment do; each one's transitions then get its own final reward.

    Args:
        buffer_size: transitions of all environments together.
        observation_space: as in SB3.
        action_space: as in SB3.
        device: device of the batches.
        n_envs: parallel environments.
        optimize_memory_usage: as in SB3.
        handle_timeout_termination: as in SB3.
        baseline_rate: b <- b + rate (reward - b), starting at the first reward; ``None``: b = 0.

    Raises:
        ValueError: ``baseline_rate`` is outside (0, 1].
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        baseline_rate: float | None = None,
    ) -> None:
        if baseline_rate is not None and not 0 < baseline_rate <= 1:
            raise ValueError(f"baseline_rate must be in (0, 1] or None, not {baseline_rate}")
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            device,
            n_envs=n_envs,
            optimize_memory_usage=optimize_memory_usage,
            handle_timeout_termination=handle_timeout_termination,
        )
        self.baseline_rate = baseline_rate
        self.baseline: float | None = None
        self._episode: list[tuple[Any, ...]] = []

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Hold the transition back; at the end of the episode store all of it.

        Raises:
            RuntimeError: only some environments ended their episode.
        """
        # Copied, because SB3 overwrites the arrays that it passes.
        self._episode.append((obs.copy(), next_obs.copy(), action.copy(), done.copy(), infos))
        if not done.any():
            return
        if not done.all():
            raise RuntimeError(
                "EpisodeReturnReplayBuffer needs environments whose episodes end together: use "
                "one environment"
            )
        final = reward.copy()
        for held_obs, held_next, held_action, held_done, held_infos in self._episode:
            super().add(held_obs, held_next, held_action, final, held_done, held_infos)
        self._episode.clear()
        if self.baseline_rate is not None:
            for value in final.tolist():
                if self.baseline is None:
                    self.baseline = value
                self.baseline += self.baseline_rate * (value - self.baseline)

    def reset(self) -> None:
        """Forget everything, including the unfinished episode and the baseline."""
        super().reset()
        self._episode.clear()
        self.baseline = None

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Draw a batch with replacement; rewards are final rewards minus the baseline.

        Raises:
            RuntimeError: no episode is finished yet.
        """
        if self.size() == 0:
            raise RuntimeError(
                "no finished episode to sample from: set learning_starts to at least one episode's "
                "steps, or train_freq to [1, episode]"
            )
        samples = super().sample(batch_size, env)
        if self.baseline is None:
            return samples
        return samples._replace(rewards=samples.rewards - self.baseline)
