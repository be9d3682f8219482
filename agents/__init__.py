"""Agents behind one small protocol: ``agents.make(name, env, seed).learn(episodes)``.

Importing the package registers every agent; what an agent needs beyond that, Stable-Baselines3 for
one, is imported when it is made.
"""

from agents import (  # noqa: F401  # they register themselves
    amc_ddpg,
    black_box,
    error_allocation,
    evolution,
    netadapt,
    random_search,
    rules,
    sb3,
    sb3_ppo,
    width_multiplier,
)
from agents.recording import BudgetSpent, Episode, Recorder, Result
from agents.registry import FACTORIES, Agent, Learner, fingerprint, make, register

__all__ = [
    "FACTORIES",
    "Agent",
    "BudgetSpent",
    "Episode",
    "Learner",
    "Recorder",
    "Result",
    "fingerprint",
    "make",
    "register",
]
