"""sb3-policy: a policy that Stable-Baselines3's SAC, TD3, DDPG or PPO learned on a suite.

The file is safetensors: the state of the acting part of SB3's policy, in half precision, with the
architecture of that part in its metadata.  SB3's own files are pickled, and are not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError, Name, Positive, Schema

from .registry import register
from .step_policy import ABOUT, LARGEST, Act, StepPolicy, Trained, about
from .threads import learner_threads

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

LOADER = "sb3"

Algorithm = Literal["sac", "td3", "ddpg", "ppo"]
Width = Annotated[int, Field(ge=1, le=4096)]
Layers = Annotated[list[Width], Field(max_length=8)]


class PolicySchema(Schema):
    """The architecture of the acting part, and what it was trained on."""

    loader: Literal["sb3"]
    algorithm: Algorithm
    observation: Name
    action_mode: Name
    features: Annotated[int, Field(ge=1, le=100_000)]
    low: float
    high: float
    net_arch: Layers | None
    episodes: Positive
    suite: Name


def dumped(
    model: BaseAlgorithm, algorithm: Algorithm, trained: Trained, *, suite: str, episodes: int
) -> bytes:
    """Return the content of a policy file for a trained model.

    Args:
        model: SB3's model, with a policy of plain layers.
        algorithm: its name.
        trained: its observation and action mode.
        suite: name of the suite that it was trained on.
        episodes: number of episodes of its training.

    Raises:
        ValueError: its architecture cannot be described in the file.
    """
    kwargs = {k: v for k, v in model.policy_kwargs.items() if k not in _OF_TRAINING}
    if unknown := kwargs.keys() - {"net_arch"}:
        raise ValueError(f"policy_kwargs: {', '.join(sorted(unknown))} cannot be in a file")
    space = model.action_space
    assert isinstance(space, spaces.Box)
    said = {
        "loader": LOADER,
        "algorithm": algorithm,
        **vars(trained),
        "low": float(space.low.item()),
        "high": float(space.high.item()),
        "net_arch": kwargs.get("net_arch"),
        "episodes": episodes,
        "suite": suite,
    }
    documents.check(PolicySchema, said)
    state = {name: t.half().contiguous() for name, t in _acting(model.policy).state_dict().items()}
    return save_bytes(state, {ABOUT: json.dumps(said)})


_OF_TRAINING = {"optimizer_class", "optimizer_kwargs", "log_std_init", "use_sde", "n_critics"}
"""Arguments of policies that affect training only, not the architecture of the acting part."""


def read(path: Path) -> tuple[Act, Trained]:
    """Read a policy's file.

    Raises:
        OSError: it cannot be read, is not such a file, or its tensors belong to another network.
    """
    try:
        said = documents.check(PolicySchema, documents.parse(about(path) or "null"))
        tensors = load_bytes(documents.read_bytes(path, LARGEST))
        policy = _built(said)
        _acting(policy).load_state_dict({name: t.float() for name, t in tensors.items()})
    except (DocumentError, RuntimeError, ValueError) as error:
        lines = " ".join(str(error).split())
        raise OSError(f"{path} is not a policy of Stable-Baselines3: {lines}") from error
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise OSError(f"{path} is not a policy of Stable-Baselines3: it holds NaN or infinity")
    policy.set_training_mode(False)
    low, width = said.low, said.high - said.low

    def act(observations: np.ndarray) -> np.ndarray:
        with learner_threads():
            actions, _ = policy.predict(observations, deterministic=True)
        return ((actions - low) / width).clip(0, 1).astype(np.float32)

    return act, Trained(said.observation, said.action_mode, said.features)


def _built(said: PolicySchema) -> BasePolicy:
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.sac.policies import SACPolicy
    from stable_baselines3.td3.policies import TD3Policy

    classes: Mapping[str, type[Any]] = {
        "sac": SACPolicy,
        "td3": TD3Policy,
        "ddpg": TD3Policy,
        "ppo": ActorCriticPolicy,
    }
    if not said.low < said.high:
        raise ValueError("its actions have no range")
    seen = spaces.Box(0.0, 1.0, (said.features,), np.float32)
    done = spaces.Box(said.low, said.high, (1,), np.float32)
    with torch.random.fork_rng(devices=()):  # its initial weights are replaced
        return classes[said.algorithm](seen, done, lambda _: 0.0, net_arch=said.net_arch)


def _acting(policy: Any) -> torch.nn.Module:
    """Return the acting part of a policy; PPO's also contains its value function."""
    return policy.actor if hasattr(policy, "actor") else policy


@register("sb3-policy", kind="policy", deterministic=True, needs=("stable_baselines3",))
class SB3Policy(StepPolicy):
    """An agent that plays one episode by a policy that SB3 learned on a suite.

    Args:
        env: an AMC environment with the observation and action mode of the training.
        seed: has no effect.
        weights: file that ``python -m benchmarks transfer train --learner sb3-sac`` wrote.

    Raises:
        ValueError: the environment has another observation or action mode.
        OSError: the file cannot be read, or is not such a policy.
    """

    read = staticmethod(read)
