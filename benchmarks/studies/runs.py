"""What is compared: runs of agents in one setting, keyed by everything that decides them.

That is the content of the task (a fingerprint of its weights and images), the environment's
options as resolved, the agent, its seed and its budget.  An environment's id alone would mix up
results of weights that were trained again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DETERMINISTIC = frozenset({"uniform", "shallow", "deep", "width-multiplier", "netadapt"})
"""Agents that do the same with every seed: they run once."""


class BenchmarkError(Exception):
    """Something the user can put right; the message is one line and says how."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True, eq=False)
class Setting:
    """What is searched, and for how long; only runs of one setting can be compared.

    Settings of the same key are equal.

    Attributes:
        env: the environment's id.
        task: fingerprint of network, weights and images.
        options: the environment's options, defaults included.
        episodes: evaluations that each run may spend.
        kwargs: what the environment was made with; task and options follow from it, so it is not
            part of the key.
        source: the names of network, data set and weights, for people.
    """

    env: str
    task: str
    options: Mapping[str, Any]
    episodes: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, Any]:
        """What identifies the setting."""
        return {
            "env": self.env,
            "task": self.task,
            "options": dict(self.options),
            "episodes": self.episodes,
        }

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of the key."""
        return _digest(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True)
class Run:
    """One agent with one seed in one setting."""

    setting: Setting
    agent: str
    seed: int

    @property
    def key(self) -> dict[str, Any]:
        """What identifies the run, and decides its outcome."""
        return self.setting.key | {"agent": self.agent, "seed": self.seed}

    @property
    def name(self) -> str:
        """Of its file, without the ending: readable, and unique by the key's digest."""
        agent = re.sub(r"[^\w.+-]", "_", self.agent)
        return f"{agent}-seed{self.seed}-{_digest(self.key)}"

    @property
    def steps(self) -> int:
        """Evaluations that it may spend."""
        return self.setting.episodes

    def __str__(self) -> str:
        return self.agent if self.agent in DETERMINISTIC else f"{self.agent} seed {self.seed}"


def runs_of(setting: Setting, agents: Iterable[str], seeds: int) -> list[Run]:
    """Every run of a study, seed by seed, so that a partial study holds as many of each agent.

    Raises:
        BenchmarkError: ``seeds`` below 1.
    """
    if seeds < 1:
        raise BenchmarkError(f"--seeds must be at least 1, not {seeds}")
    return [
        Run(setting, agent, seed)
        for seed in range(seeds)
        for agent in agents
        if seed == 0 or agent not in DETERMINISTIC
    ]


def _digest(key: Mapping[str, Any]) -> str:
    canonical = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
