"""Rules by hand, each of which evaluates its largest plan within the budget (paper, figure 2)."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from amc_gym.envs.rules import Rule, deep, largest, shallow, uniform

from .plans import amc, execute
from .registry import register


class HandMade:
    """Evaluates a rule's largest plan within the budget, once.

    Without a budget (``preserve_ratio=None``) that is the uncompressed network.  Channels come in
    whole steps, so the ratio that is reached lies below the budget; ``Episode.macs`` tells it.

    Args:
        env: an AMC environment in either action mode.
        rule: what sparsities are proportional to.
    """

    def __init__(self, env: gym.Env[Any, Any], rule: Rule) -> None:
        self.env, self.rule = env, rule

    def learn(self, episodes: int) -> None:
        """Evaluate the plan; one episode is enough."""
        execute(self.env, largest(amc(self.env).budget, self.rule))


@register("uniform", kind="rule")
def make_uniform(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Every unit loses the same share."""
    return HandMade(env, uniform)


@register("shallow", kind="rule")
def make_shallow(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Return the first units lose most."""
    return HandMade(env, shallow)


@register("deep", kind="rule")
def make_deep(env: gym.Env[Any, Any], seed: int) -> HandMade:
    """Return the last units lose most."""
    return HandMade(env, deep)
