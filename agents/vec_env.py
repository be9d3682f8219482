"""AMCVectorEnv for Stable-Baselines3, whose algorithms then train on N episodes at once.

SB3 has its own vector interface: `done` instead of `terminated` and `truncated`, a list of info
dictionaries that contain the last observation of an episode, and float32 rewards.

```python
envs = AMCVecEnv(gym.make_vec("AMC-MobileNet-v0", num_envs=8))
TD3("MlpPolicy", envs, train_freq=14, gradient_steps=-1).learn(100 * 8 * 14)
```

* ``train_freq=(1, "episode")`` works with one environment only.  A number counts steps of all N
  environments together: with the T of `agents.plans.steps_per_episode`, each rollout is N whole
  episodes.
* DDPG, TD3 and SAC rescale actions to [-1, 1] themselves.  PPO and A2C start from a normal
  distribution around 0 and clip it, so that half of their first actions would be "keep everything":
  use Gymnasium's wrapper, ``AMCVecEnv(RescaleAction(envs, np.float32(-1), np.float32(1)))``.
* Rewards and lengths of episodes reach SB3's log through ``VecMonitor(AMCVecEnv(envs))``, or
  through Gymnasium's ``RecordEpisodeStatistics(envs)`` inside of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from amc_gym.envs.compression_env import CompressionEnv
from amc_gym.envs.vector import AMCVectorEnv


class AMCVecEnv(VecEnv):
    """An SB3 `VecEnv` that is equivalent, bit for bit, to `DummyVecEnv` over N copies of `AMCEnv`.

    Args:
        env: an `AMCVectorEnv`, or Gymnasium's vector wrappers around one.

    Raises:
        TypeError: it is another environment, for which SB3 has `DummyVecEnv`.
    """

    actions: np.ndarray

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        amc = env.unwrapped if isinstance(env, VectorEnv) else None
        if not isinstance(amc, AMCVectorEnv):
            raise TypeError(
                f"AMCVecEnv needs what gym.make_vec('AMC-...', num_envs=N) gives, not {env!r}"
            )
        self.env = env
        self.envs: list[CompressionEnv] = amc.envs
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """Start N episodes, and return the first observations, (N, 11) float32.

        Raises:
            ValueError: ``set_options`` got different options for the environments.
        """
        options = self._options[0]
        if any(other != options for other in self._options):
            raise ValueError("AMCVecEnv takes the same options for all environments")
        observations, infos = self.env.reset(seed=self._seeds, options=options or None)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = unbatched(infos, self.num_envs)
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions, (N, 1), for `step_wait`."""
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Return observations (N, 11), rewards (N,) float32, dones (N,), and one info for each."""
        observations, rewards, terminations, truncations, batch = self.env.step(self.actions)
        infos = unbatched(batch, self.num_envs)
        for i, info in enumerate(infos):
            info["TimeLimit.truncated"] = bool(truncations[i] and not terminations[i])
            if "final_obs" in info:
                info["terminal_observation"] = info.pop("final_obs")
                final = info.pop("final_info")
                # Entries of both resets and last steps here describe the new episode.
                self.reset_infos[i] = {key: info[key] for key in final if key in info}
                info |= final
        return observations, rewards.astype(np.float32), terminations | truncations, infos

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return a frame of each environment."""
        return self.env.render()  # type: ignore[return-value]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of each sub-environment."""
        return [env.get_wrapper_attr(attr_name) for env in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of each sub-environment."""
        for env in self._chosen(indices):
            setattr(env, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each sub-environment."""
        return [env.get_wrapper_attr(method_name)(*args, **kwargs) for env in self._chosen(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False for each, because wrappers go around all sub-environments together."""
        return [False for _ in self._chosen(indices)]

    def _chosen(self, indices: VecEnvIndices) -> list[CompressionEnv]:
        return [self.envs[i] for i in self._get_indices(indices)]


def unbatched(infos: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Return Gymnasium's info of arrays as one dictionary for each of n sub-environments.

    An entry goes to the sub-environments in its mask, the key with a leading `_`, or to all if it
    has no mask.  Numbers become Python's, as they were before they were batched.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(n)]
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        parts = unbatched(values, n) if isinstance(values, dict) else values.tolist()
        mask = infos.get(f"_{key}")
        for i in range(n) if mask is None else np.flatnonzero(mask).tolist():
            rows[i][key] = parts[i]
    return rows
