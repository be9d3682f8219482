"""Stable-Baselines3's DDPG, TD3 and SAC, from rows of hyper-parameters in rl_zoo3's schema.

| name                       | row                | reward that it learns from               |
|----------------------------|--------------------|------------------------------------------|
| sb3-ddpg, sb3-td3, sb3-sac | hyperparams/paper/ | each transition has its episode's final  |
| sb3-ddpg-default, ...      | hyperparams/sb3/   | the environment's: 0 until the last step |

SB3 is imported when a learner is made, so that the other agents work without it.
"""

from __future__ import annotations

import importlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gymnasium as gym
import numpy as np

from .plans import steps_per_episode
from .registry import register
from .sources import here
from .threads import learner_threads

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.noise import ActionNoise
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

M = TypeVar("M", bound="BaseAlgorithm")
"""A type of SB3's learners."""

NEEDS = ("stable_baselines3", "yaml")
"""SB3, and PyYAML to read rows of hyper-parameters."""

HYPERPARAMS = Path(__file__).parent / "hyperparams"
ALGORITHMS = ("ddpg", "td3", "sac")
WARMUP_EPISODES = 100
"""Warm-up of the paper, limited to a quarter of the budget as in `agents.amc_ddpg`."""

_IMPORTED = re.compile(r"""importlib\.import_module\(["']([\w.]+)["']\)\.(\w+)""")


class SB3:
    """An off-policy learner of SB3 on one environment, on the CPU.

    Args:
        env: an AMC environment.
        seed: of networks, exploration and batches.  SB3 seeds and uses the global generators of
            numpy, torch and random, so two learners must not be interleaved.
        algorithm: "ddpg", "td3" or "sac".
        hyperparams: folder in ``agents/hyperparams``, or any folder of rl_zoo3 files.
        warmup_episodes: length of the warm-up in episodes, at most a quarter of the budget, which
            replaces the row's ``learning_starts``.
        changes: entries of the row with other values, as in ``batch_size=128``.

    Raises:
        ValueError: the row asks for something that only rl_zoo3 supports.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        seed: int,
        *,
        algorithm: str,
        hyperparams: str | Path,
        warmup_episodes: int | None = None,
        **changes: Any,
    ) -> None:
        import stable_baselines3

        (path,) = self.hyperparameter_files(algorithm=algorithm, hyperparams=hyperparams)
        row = read_row(path, env.spec and env.spec.id) | changes
        self._callbacks = row.pop("callback", None)
        self._steps = steps_per_episode(env)
        self._warmup_episodes = warmup_episodes
        self.model: OffPolicyAlgorithm = logging_in_memory(
            getattr(stable_baselines3, algorithm.upper())(
                env=env, seed=seed, device="cpu", **arguments(row, env)
            )
        )

    @staticmethod
    def hyperparameter_files(
        *, algorithm: str = "", hyperparams: str | Path = "", **_: Any
    ) -> list[Path]:
        """Return the file of its row; for a subclass that chooses a row itself, all files."""
        if not algorithm:
            return sorted(HYPERPARAMS.rglob("*.yml"))
        return [HYPERPARAMS / hyperparams / f"{algorithm}.yml"]

    def diagnostics(self) -> dict[str, float]:
        """Return what the model has logged of its last updates, such as train/actor_loss."""
        return logged(self.model)

    def learn(self, episodes: int) -> None:
        """Finish ``episodes`` episodes, T steps each."""
        if self._warmup_episodes is not None:
            warmup = min(self._warmup_episodes, episodes // 4)
            self.model.learning_starts = warmup * self._steps
        with learner_threads():
            self.model.learn(
                episodes * self._steps,
                callback=callbacks(self._callbacks),
                log_interval=None,  # type: ignore[arg-type]
            )


def logging_in_memory(model: M) -> M:
    """Return a model that logs in memory only, unless it is verbose or logs for TensorBoard.

    SB3's own logger leaves an empty folder among the temporary files for each call of learn().
    """
    from stable_baselines3.common.logger import Logger

    if not (model.verbose or model.tensorboard_log):
        model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def logged(model: BaseAlgorithm) -> dict[str, float]:
    """Return the numbers in a model's log that are not written out yet."""
    logger = getattr(model, "_logger", None)  # model.logger raises before learn()
    values = {} if logger is None else logger.name_to_value
    return {
        name.removeprefix("train/"): float(value)
        for name, value in values.items()
        if name.startswith("train/") and isinstance(value, int | float | np.number)
    }


def read_row(path: Path, env_id: str | None) -> dict[str, Any]:
    """Return the row of ``env_id`` in an rl_zoo3 file, its ``default`` row if there is none."""
    import yaml

    rows = yaml.safe_load(path.read_text())
    return dict(rows.get(env_id, rows["default"]))


def arguments(row: dict[str, Any], env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Return constructor arguments of an rl_zoo3 row without its callbacks; nothing is evaluated.

    Raises:
        ValueError: a key that rl_zoo3 handles outside of the algorithm, or Python code as a value.
    """
    row = dict(row)
    row.pop("n_timesteps", None)  # set by the budget
    if unknown := row.keys() & {"n_envs", "normalize", "frame_stack", "env_wrapper", "env_kwargs"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: only rl_zoo3 supports that: leave it out")
    for key in ("policy_kwargs", "replay_buffer_kwargs", "learning_rate"):
        if isinstance(row.get(key), str):
            raise ValueError(f"{key}: {row[key]!r} would have to be evaluated: write it as YAML")
    if isinstance(row.get("train_freq"), list):
        row["train_freq"] = tuple(row["train_freq"])
    if "replay_buffer_class" in row:
        row["replay_buffer_class"] = named_class(row["replay_buffer_class"])
    if "noise_type" in row:
        row["action_noise"] = _noise(row.pop("noise_type"), row.pop("noise_std"), env)
    return row


def callbacks(names: Any) -> list[Any]:
    """Return new callbacks of a row's ``callback``."""
    return [callback(**kwargs) for callback, kwargs in named_classes(names)]


def named_classes(names: Any) -> list[tuple[type[Any], dict[str, Any]]]:
    """Return classes and arguments from a class's name, {name: arguments}, or a list of these."""
    found = []
    for entry in names if isinstance(names, list) else [names] if names else []:
        ((name, kwargs),) = entry.items() if isinstance(entry, dict) else ((entry, {}),)
        found.append((named_class(name), kwargs))
    return found


def named_class(name: str) -> type[Any]:
    """Return a class: ``package.module.Class`` or ``importlib.import_module("...").Class``.

    Raises:
        ValueError: ``name`` is neither of the two.
    """
    match = _IMPORTED.fullmatch(name)
    module, _, attribute = (
        ".".join(match.groups()).rpartition(".") if match else name.rpartition(".")
    )
    if not re.fullmatch(r"[\w.]+", module) or not attribute.isidentifier():
        raise ValueError(f"{name!r} does not name a class: write package.module.Class")
    return getattr(importlib.import_module(here(module)), attribute)


def _noise(kind: str, std: float, env: gym.Env[Any, Any]) -> ActionNoise:
    from stable_baselines3.common.noise import NormalActionNoise

    if kind != "normal":
        raise ValueError(f"noise_type: {kind!r} is not available here: use 'normal'")
    shape = env.action_space.shape
    assert shape is not None
    return NormalActionNoise(np.zeros(shape), np.full(shape, float(std)))


for _algorithm in ALGORITHMS:
    register(f"sb3-{_algorithm}", kind="learner", needs=NEEDS)(
        partial(SB3, algorithm=_algorithm, hyperparams="paper", warmup_episodes=WARMUP_EPISODES)
    )
    register(f"sb3-{_algorithm}-default", kind="learner", needs=NEEDS)(
        partial(SB3, algorithm=_algorithm, hyperparams="sb3")
    )
