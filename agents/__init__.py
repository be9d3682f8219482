"""Agents behind one small protocol: ``agents.make(name, env, seed).learn(episodes)``.

Importing the package registers every agent: each module here registers its own agents, except those
that are parts of others.  What an agent needs beyond ``amc_gym``, such as Stable-Baselines3, is
imported when the agent is made.

In a checkout the package is called ``agents``; installed from a wheel it is ``amc_gym.agents``.
"""

from amc_gym._utils.discovery import import_modules

from .recording import BudgetSpent, Episode, Recorder, Result
from .registry import (
    FACTORIES,
    GROUPS,
    Agent,
    Kind,
    Learner,
    Registered,
    fingerprint,
    is_deterministic,
    kind_of,
    make,
    named,
    register,
)

PARTS = {"gaussian_process", "noise", "replay", "sb3_suite", "vec_env"}
"""Parts of Optuna's and Stable-Baselines3's agents, which import them when they are made."""

import_modules(__name__, without=PARTS)

__all__ = [
    "FACTORIES",
    "GROUPS",
    "Agent",
    "BudgetSpent",
    "Episode",
    "Kind",
    "Learner",
    "Recorder",
    "Registered",
    "Result",
    "fingerprint",
    "is_deterministic",
    "kind_of",
    "make",
    "named",
    "register",
]
