"""Exploration noise that fades, for SB3's DDPG and TD3."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise


class ActionNoiseDecay(BaseCallback):
    """A callback that lets the standard deviation of normal action noise decay exponentially.

    It is constant during the warm-up (``learning_starts`` steps) and then falls geometrically,
    rollout by rollout, to ``final_std`` at the end of training, for any length of training.  It is
    a plain SB3 callback: name it in an rl_zoo3 row, or pass it to ``model.learn``.

    Standard deviations are in SB3's units, where actions range over [-1, 1]: twice the paper's.

    Args:
        final_std: standard deviation at the last step.

    Raises:
        ValueError: ``final_std`` is not positive, or when training starts the model has no
            ``NormalActionNoise`` with a larger standard deviation.
    """

    def __init__(self, final_std: float) -> None:
        super().__init__()
        if final_std <= 0:
            raise ValueError(f"final_std must be positive, not {final_std}")
        self.final_std = final_std

    def _on_training_start(self) -> None:
        noise = getattr(self.model, "action_noise", None)
        if not isinstance(noise, NormalActionNoise) or (noise._sigma <= self.final_std).any():
            raise ValueError(
                f"ActionNoiseDecay needs NormalActionNoise with a standard deviation above "
                f"{self.final_std}, not {noise}"
            )
        self._noise = noise
        self._initial = noise._sigma
        self._total: int = self.locals["total_timesteps"]

    def std_at(self, steps: int) -> np.ndarray:
        """Return the standard deviation of each action after ``steps`` steps of training."""
        warmup = self.model.learning_starts  # type: ignore[attr-defined]
        decayed = max(0, steps - warmup) / max(1, self._total - warmup)
        return self._initial * (self.final_std / self._initial) ** decayed

    def _on_rollout_start(self) -> None:
        self._noise._sigma = self.std_at(self.num_timesteps)  # SB3 has no public way to set it

    def _on_training_end(self) -> None:
        self._noise._sigma = self._initial

    def _on_step(self) -> bool:
        return True
