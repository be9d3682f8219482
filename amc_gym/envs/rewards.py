"""Rewards: functions of a finished plan's measured figures (paper, section 3.3).

| name                | reward                | for                                            |
|---------------------|-----------------------|------------------------------------------------|
| "accuracy"          | score                 | resource-constrained search, in [0, 1]         |
| "score"             | score                 | the same, for networks that do not classify    |
| "error"             | -(1 - score)          | the same minus a constant: the paper's R_err   |
| "error-log-macs"    | -error * ln(MACs)     | accuracy-guaranteed: the paper's R_FLOPs       |
| "error-log-params"  | -error * ln(#params)  | accuracy-guaranteed: the paper's R_Param       |
| "error-log-latency" | -error * ln(ns)       | the same shape for measured latency            |
| "relative"          | 0 uniform, 1 full     | one scale for networks and budgets             |

A user's own reward is a function of ``Measured``, or one that ``register`` has given a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from amc_gym._utils.arguments import function, real
from amc_gym._utils.names import choose
from amc_gym._utils.own_code import qualified
from amc_gym.compression.plan import Measured

RewardFunction = Callable[[Measured], float]
"""Function: measured figures of a plan -> its reward; higher is better."""


FLOOR = 0.01
"""Smallest difference of scores that "relative" divides by."""


@dataclass(frozen=True)
class References:
    """Scores on the same reward images, to which a plan's score is compared.

    Attributes:
        uniform: of the uniform plan within the same budget.
        full: of the uncompressed network.
    """

    uniform: float
    full: float


@dataclass(frozen=True)
class Reward:
    """A reward function and what it needs.

    Attributes:
        name: value of the option ``reward``, also in plans.
        function: of a finished plan's measured figures and, if ``compared``, of the references.
        timed: whether it needs a latency.
        compared: whether it needs ``References``, and so a budget; they take two evaluations, once
            for each network and budget.
    """

    name: str
    function: Callable[..., float]
    timed: bool = False
    compared: bool = False

    def __call__(self, measured: Measured, references: References | None = None) -> float:
        """Return the reward of a finished plan.

        Args:
            measured: measured figures of the plan.
            references: for rewards that are ``compared``.

        Raises:
            ValueError: the function fails, or does not return a finite number.
        """
        arguments = (measured, references) if self.compared else (measured,)
        try:
            return real("reward", self.function(*arguments))
        except Exception as error:
            raise ValueError(f"reward {self.name!r} of {measured}: {error}") from error


REWARDS: dict[str, Reward] = {}
"""Name -> registered reward."""


F = TypeVar("F", bound=Callable[..., float])


def register(name: str, *, timed: bool = False, compared: bool = False) -> Callable[[F], F]:
    """Register a reward under a name; use as a decorator.

    Args:
        name: value of the option ``reward``.
        timed: whether it needs ``Measured.latency_ns``.
        compared: whether it is a function of (``Measured``, ``References``).

    Raises:
        ValueError: another reward has that name.
    """

    def known(reward: F) -> F:
        if name in REWARDS:
            raise ValueError(f"there is a reward {name!r} already: choose another name")
        REWARDS[name] = Reward(name, reward, timed, compared)
        return reward

    return known


def reward_of(reward: str | RewardFunction | Reward) -> Reward:
    """Return the reward of a name, or of a user's function, for which no latency is measured.

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
    """Return the score in [0, 1]: for a classifier, its accuracy."""
    return measured.score


@register("error")
def error(measured: Measured) -> float:
    """Return the negative error, in [-1, 0]."""
    return measured.score - 1


def error_log(measured: Measured, size: int) -> float:
    """Return -error * ln(size).

    Raises:
        ValueError: size <= 1, where the logarithm would reward errors.
    """
    if size <= 1:
        raise ValueError(f"the error-log rewards need a size above 1, not {size}")
    return (measured.score - 1) * math.log(size)


@register("error-log-macs")
def error_log_macs(measured: Measured) -> float:
    """Return -error * ln(MACs), the paper's R_FLOPs."""
    return error_log(measured, measured.macs)


@register("error-log-params")
def error_log_params(measured: Measured) -> float:
    """Return -error * ln(parameters), the paper's R_Param."""
    return error_log(measured, measured.params)


@register("error-log-latency", timed=True)
def error_log_latency(measured: Measured) -> float:
    """Return -error * ln(nanoseconds)."""
    return error_log(measured, measured.latency_ns or 0)


@register("relative", compared=True)
def relative(measured: Measured, references: References) -> float:
    """Return the share of the uniform plan's loss that is recovered: 0 is uniform, 1 lossless.

    Below the uniform plan it is the share of the uniform plan's score that is lost, down to -1 for
    a score of 0.  So it is bounded, however small the gap between uniform and full.  If the gap is
    smaller than ``FLOOR``, it is replaced by ``FLOOR``: uniform is still 0, and full below 1.
    """
    gained = measured.score - references.uniform
    if gained < 0:
        return gained / references.uniform
    return gained / max(references.full - references.uniform, FLOOR)
