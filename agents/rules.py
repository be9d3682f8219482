"""Hand-made rules, each of which evaluates its largest plan within the budget (paper, figure 2)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from amc_gym.envs.rules import Rule, deep, largest, shallow, uniform

from .plans import amc, execute
from .registry import register


class HandMade:
    """An agent that evaluates a rule's largest plan within the budget, once.

    Without a budget (``preserve_ratio=None``) that is the uncompressed network.  Channels come in
    whole steps, so the ratio that is reached is below the budget; see ``Episode.macs``.

    Args:
        env: an AMC environment in either action mode.
        rule: returns relative sparsities of the units.
    """

    def __init__(self, env: gym.Env[Any, Any], rule: Rule) -> None:
        self.env, self.rule = env, rule

    def learn(self, episodes: int) -> None:
        """Evaluate the plan; one episode is enough."""
        execute(self.env, largest(amc(self.env).budget, self.rule))


@register("uniform", kind="rule")
def make_uniform(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Return the rule that prunes the same share of every unit."""
    return HandMade(env, uniform)


@register("shallow", kind="rule")
def make_shallow(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Return the rule that prunes the first units most."""
    return HandMade(env, shallow)


@register("deep", kind="rule")
def make_deep(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Return the rule that prunes the last units most."""
    return HandMade(env, deep)
