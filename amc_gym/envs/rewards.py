"""Rewards of what a plan was measured to be (paper, section 3.3).

| name                | reward                | for                                            |
|---------------------|-----------------------|------------------------------------------------|
| "accuracy"          | score                 | resource-constrained search, in [0, 1]         |
| "score"             | score                 | the same, of networks that tell no classes     |
| "error"             | -(1 - score)          | the same up to a constant: the paper's R_err   |
| "error-log-macs"    | -error * ln(MACs)     | accuracy-guaranteed: the paper's R_FLOPs       |
| "error-log-params"  | -error * ln(#params)  | accuracy-guaranteed: the paper's R_Param       |
| "error-log-latency" | -error * ln(ns)       | the same shape for measured latency            |

A user's own is a function of ``Measured``, or one that ``register`` has given a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from amc_gym._utils.arguments import function, real
from amc_gym._utils.names import choose
from amc_gym._utils.own_code import qualified
from amc_gym.compression.plan import Measured

RewardFunction = Callable[[Measured], float]
"""Measured figures of a plan -> how good it is; higher is better."""


@dataclass(frozen=True)
class Reward:
    """A reward and what it needs.

    Attributes:
        name: what options and plans call it.
        function: of a finished plan's measured figures.
        timed: whether latency must be measured for it.
    """

    name: str
    function: RewardFunction
    timed: bool = False

    def __call__(self, measured: Measured) -> float:
        """The reward of a finished plan.

        Raises:
            ValueError: the function fails, or returns something else than a finite number.
        """
        try:
            return real("reward", self.function(measured))
        except Exception as error:
            raise ValueError(f"reward {self.name!r} of {measured}: {error}") from error


REWARDS: dict[str, Reward] = {}
"""Name -> registered reward."""


def register(name: str, *, timed: bool = False) -> Callable[[RewardFunction], RewardFunction]:
    """Make a reward known by a name; to be used as a decorator.

    Args:
        name: what the option ``reward`` calls it.
        timed: whether it needs ``Measured.latency_ns``.

    Raises:
        ValueError: another reward has that name.
    """

    def known(reward: RewardFunction) -> RewardFunction:
        if name in REWARDS:
            raise ValueError(f"there is a reward {name!r} already: choose another name")
        REWARDS[name] = Reward(name, reward, timed)
        return reward

    return known


def reward_of(reward: str | RewardFunction | Reward) -> Reward:
    """The reward of a name, or a user's own function, for which latency is not measured.

    Raises:
        TypeError: it is neither.
        ValueError: the name is unknown.
    """
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, str) or not callable(reward):
        return REWARDS[choose("reward", reward, REWARDS)]
    return Reward(qualified(reward), function("reward", reward, "what was measured"))


@register("accuracy")
@register("score")
def score(measured: Measured) -> float:
    """The score, in [0, 1]: of a network that classifies, its accuracy."""
    return measured.score


@register("error")
def error(measured: Measured) -> float:
    """Minus the error, in [-1, 0]."""
    return measured.score - 1


def error_log(measured: Measured, size: int) -> float:
    """-error * ln(size).

    Raises:
        ValueError: size <= 1, where the logarithm would pay for errors.
    """
    if size <= 1:
        raise ValueError(f"the error-log rewards need a size above 1, not {size}")
    return (measured.score - 1) * math.log(size)


@register("error-log-macs")
def error_log_macs(measured: Measured) -> float:
    """-error * ln(MACs): the paper's R_FLOPs."""
    return error_log(measured, measured.macs)


@register("error-log-params")
def error_log_params(measured: Measured) -> float:
    """-error * ln(parameters): the paper's R_Param."""
    return error_log(measured, measured.params)


@register("error-log-latency", timed=True)
def error_log_latency(measured: Measured) -> float:
    """-error * ln(nanoseconds)."""
    return error_log(measured, measured.latency_ns or 0)
