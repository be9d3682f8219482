"""sb3-policy: what Stable-Baselines3's SAC, TD3, DDPG or PPO learnt on a suite, from a file.

The file is safetensors: the state of the part of SB3's policy that acts, in half precision, and
in its metadata how that part is built.  SB3's own files are pickled, and are not read.
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
    """How the part that acts is built, and what it was trained on."""

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
    """Turn a trained model into the content of a policy's file.

    Args:
        model: of SB3, with a policy of plain layers.
        algorithm: its name.
        trained: what it sees and what its actions mean.
        suite: name of what it was trained on.
        episodes: that it was trained for.

    Raises:
        ValueError: its policy is built in a way that the file cannot tell.
    """
    kwargs = {k: v for k, v in model.policy_kwargs.items() if k not in _OF_TRAINING}
    if unknown := kwargs.keys() - {"net_arch"}:
        raise ValueError(f"policy_kwargs: {', '.join(sorted(unknown))} cannot be kept in a file")
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
"""Arguments of policies that do not change what the acting part is, or only where it began."""


def read(path: Path) -> tuple[Act, Trained]:
    """Read a policy's file.

    Raises:
        OSError: it cannot be read, is no such file, or its tensors are those of another network.
    """
    try:
        said = documents.check(PolicySchema, documents.parse(about(path) or "null"))
        tensors = load_bytes(documents.read_bytes(path, LARGEST))
        policy = _built(said)
        _acting(policy).load_state_dict({name: t.float() for name, t in tensors.items()})
    except (DocumentError, RuntimeError, ValueError) as error:
        lines = " ".join(str(error).split())
        raise OSError(f"{path} is no policy of Stable-Baselines3: {lines}") from error
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise OSError(f"{path} is no policy of Stable-Baselines3: it has NaN or infinite weights")
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
    with torch.random.fork_rng(devices=()):  # what it begins with is drawn, and thrown away
        return classes[said.algorithm](seen, done, lambda _: 0.0, net_arch=said.net_arch)


def _acting(policy: Any) -> torch.nn.Module:
    """Return the part of a policy that acts; PPO's is not apart from its value."""
    return policy.actor if hasattr(policy, "actor") else policy


@register("sb3-policy", kind="policy", deterministic=True, needs=("stable_baselines3",))
class SB3Policy(StepPolicy):
    """One episode of what SB3 learnt on a suite.

    Args:
        env: an AMC environment, made with the observation and action mode that it was trained on.
        seed: of nothing.
        weights: file that ``python -m benchmarks transfer train --learner sb3-sac`` wrote.

    Raises:
        ValueError: the environment is another one.
        OSError: the file cannot be read, or is none of these.
    """

    read = staticmethod(read)
