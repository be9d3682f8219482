"""Options of an environment: budget, reward, actions and observations.

What the options name needs PyTorch and is imported only when options are made, so that a help text,
which only reads their declarations, does not need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from amc_gym._utils.arguments import path, whole
from amc_gym._utils.names import choose
from amc_gym.envs.sparsity import largest

if TYPE_CHECKING:
    from amc_gym.compression.cost import ResourceLike
    from amc_gym.envs.observations import Observation
    from amc_gym.envs.rewards import Reward, RewardFunction

LATENCY = "latency"
"""The resource that is measured rather than counted."""

DEFAULT = "default"
"""Value of ``preserve_ratio`` that stands for the task's own share."""


PAPER = "paper"
"""The observation of the paper."""


@dataclass(frozen=True)
class EnvOptions:
    """Budget of a plan, its reward, and what actions and observations mean.

    Raises:
        TypeError: an option has a wrong type.
        ValueError: a name is unknown, or a number is out of range.
    """

    resource: ResourceLike = "macs"
    """what the budget counts: "macs", "params", "latency", or a function of a layer's sizes"""

    preserve_ratio: float | str | None = DEFAULT
    """share of the resource to keep, in (0, 1]; "default": the task's own; None: no bound"""

    reward: str | RewardFunction | Reward = "accuracy"
    """reward of a finished plan: "accuracy" (or "score", its name where nothing is classified),
    "error", "error-log-macs", "error-log-params", "error-log-latency", "relative" (0: uniform plan,
    1: full network), or a function"""

    action_mode: str = "clamp"
    """what an action means: "clamp", "feasible" or "residual" """

    observation: str = PAPER
    """what is seen: "paper" (equation 1), "comparable" (one scale for all networks) or "graph" """

    max_sparsity: float | Mapping[str, float] | None = None
    """largest sparsity, a_max: a number or {"conv": ..., "linear": ...}; None: the paper's"""

    channel_multiple: int | None = None
    """kept counts are multiples of this; None: the task's own, for latency also the device's"""

    runtime: str = "torch"
    """runtime whose latency counts: "torch", "compile" or "onnx" """

    latency_table: str | Path | None = None
    """file of the layers' times; None: this machine's, measured once"""

    def __post_init__(self) -> None:
        from amc_gym.compression.cost import resource_of
        from amc_gym.compression.latency.runtimes import RUNTIMES
        from amc_gym.envs.actions import ACTION_MODES
        from amc_gym.envs.budget import share_to_keep
        from amc_gym.envs.observations import OBSERVATIONS
        from amc_gym.envs.rewards import reward_of

        put = partial(object.__setattr__, self)
        for name, available in (
            ("action_mode", ACTION_MODES),
            ("observation", OBSERVATIONS),
            ("runtime", RUNTIMES),
        ):
            put(name, choose(name, getattr(self, name), available))
        if not self._latency:
            put("resource", resource_of(self.resource))
        put("reward", reward_of(self.reward))
        if self.latency_table is not None:
            put("latency_table", path("latency_table", self.latency_table))
        if not self.timed and (self.latency_table is not None or self.runtime != "torch"):
            raise ValueError(
                "latency_table and runtime need a latency: use them with resource='latency' or "
                "reward='error-log-latency'"
            )
        if isinstance(self.preserve_ratio, str):
            choose("preserve_ratio", self.preserve_ratio, (DEFAULT,))
        else:
            put("preserve_ratio", share_to_keep(self.preserve_ratio))
        if self.channel_multiple is not None:
            given = whole("channel_multiple", self.channel_multiple, at_least=1)
            put("channel_multiple", given)
        if self.max_sparsity is not None:
            put("max_sparsity", largest(self.max_sparsity))

    @property
    def timed(self) -> bool:
        """Whether latency is needed."""
        return self._latency or self.rewarding.timed

    @property
    def resource_name(self) -> str:
        """Name of the resource in plans."""
        from amc_gym.compression.cost import resource_of

        return LATENCY if self._latency else resource_of(self.resource).name

    @property
    def _latency(self) -> bool:
        # A user's object may return anything for ==.
        return isinstance(self.resource, str) and self.resource == LATENCY

    @property
    def observing(self) -> type[Observation]:
        """The class of the observation."""
        from amc_gym.envs.observations import OBSERVATIONS

        return OBSERVATIONS[self.observation]

    @property
    def rewarding(self) -> Reward:
        """The reward object."""
        from amc_gym.envs.rewards import Reward

        assert isinstance(self.reward, Reward)
        return self.reward
