"""Rewards of what a plan was measured to be (paper, section 3.3).

| name                | reward                | for                                            |
|---------------------|-----------------------|------------------------------------------------|
| "accuracy"          | score                 | resource-constrained search, in [0, 1]         |
| "score"             | score                 | the same, of networks that tell no classes     |
| "error"             | -(1 - score)          | the same up to a constant: the paper's R_err   |
| "error-log-macs"    | -error * ln(MACs)     | accuracy-guaranteed: the paper's R_FLOPs       |
| "error-log-params"  | -error * ln(#params)  | accuracy-guaranteed: the paper's R_Param       |
| "error-log-latency" | -error * ln(ns)       | the same shape for measured latency            |
| "relative"          | 0 uniform, 1 full     | many networks and budgets alike, see `relative` |

A user's own is a function of ``Measured``, or one that ``register`` has given a name.
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
"""Measured figures of a plan -> how good it is; higher is better."""


FLOOR = 0.01
"""Least difference of scores that "relative" divides by: one point in a hundred."""


@dataclass(frozen=True)
class References:
    """Scores on the same reward images that a plan's score is compared with.

    Attributes:
        uniform: of the uniform plan within the same budget.
        full: of the uncompressed network.
    """

    uniform: float
    full: float


@dataclass(frozen=True)
class Reward:
    """A reward and what it needs.

    Attributes:
        name: what options and plans call it.
        function: of a finished plan's measured figures; if ``compared``, of the references too.
        timed: whether latency must be measured for it.
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
            measured: what the plan was measured to be.
            references: for rewards that are ``compared``.

        Raises:
            ValueError: the function fails, or returns something else than a finite number.
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
    """Make a reward known by a name; to be used as a decorator.

    Args:
        name: what the option ``reward`` calls it.
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
    """Return the reward of a name, or a user's own function, for which latency is not measured.

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
    """Return the score, in [0, 1]: of a network that classifies, its accuracy."""
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


@register("relative", compared=True)
def relative(measured: Measured, references: References) -> float:
    """Share of what the uniform plan loses that this plan wins back: 0 is uniform, 1 lossless.

    Below the uniform plan it is the share of the uniform plan's score that is lost, down to -1 at
    the score 0: so it is bounded however little lies between uniform and full.  Where that is less
    than ``FLOOR``, differences are divided by ``FLOOR``: uniform is 0 still, and full below 1.
    """
    gained = measured.score - references.uniform
    if gained < 0:
        return gained / references.uniform
    return gained / max(references.full - references.uniform, FLOOR)
