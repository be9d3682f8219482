"""Runs of agents in one setting, identified by everything that determines their results.

That is the content of the task (a fingerprint of its weights and images), the environment's
options as resolved, the agent, a hash of its code and hyper-parameter files, its arguments, its
seed and its budget.  An environment's id alone would mix up results of retrained weights, and an
agent's name alone those before and after a change of the agent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import is_deterministic


class BenchmarkError(ValueError):
    """Raised for what the user can correct; the message is one line and says how."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True, eq=False)
class Setting:
    """The task and budget of a search; only runs of one setting can be compared.

    Settings of the same key are equal.

    Attributes:
        env: the environment's id.
        task: fingerprint of network, weights and images.
        options: the environment's options, including defaults.
        episodes: evaluations that each run may spend.
        kwargs: keywords that the environment was made with; task and options follow from them, so
            they are not part of the key.
        source: the names of network, data set and weights, for readers.
    """

    env: str
    task: str
    options: Mapping[str, Any]
    episodes: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, Any]:
        """Content that identifies the setting."""
        return {
            "env": self.env,
            "task": self.task,
            "options": dict(self.options),
            "episodes": self.episodes,
        }

    @property
    def digest(self) -> str:
        """Hash of the key, 12 hexadecimal digits."""
        return _digest(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=False)
class Run:
    """One agent with one seed in one setting.

    Runs of the same key are equal.

    Attributes:
        setting: the setting.
        agent: the agent's name.
        seed: of everything that it draws.
        code: `agents.fingerprint` of its code and files; ``None`` if unknown, as in records of
            earlier versions.
        arguments: keyword arguments that it is made with.
        variant: what distinguishes it, for readers, from runs of the agent with other code; see
            ``distinguished``.
    """

    setting: Setting
    agent: str
    seed: int
    code: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""

    @property
    def key(self) -> dict[str, Any]:
        """Content that identifies the run and determines its result."""
        known = {} if self.code is None else {"code": self.code}
        given = {"arguments": dict(self.arguments)} if self.arguments else {}
        return self.setting.key | {"agent": self.agent, "seed": self.seed} | known | given

    @property
    def name(self) -> str:
        """Name of its file without suffix: readable, and unique by the key's digest."""
        agent = re.sub(r"[^\w.+-]", "_", self.agent)
        return f"{agent}-seed{self.seed}-{_digest(self.key)}"

    @property
    def place(self) -> str:
        """Content that it shares with the same run of the agent with other code."""
        return replace(self, code=None).name

    @property
    def label(self) -> str:
        """Name of the agent in tables: with its arguments, and distinct from other variants."""
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.arguments.items())
        return f"{self.agent}{f'({given})' if given else ''}{self.variant}"

    @property
    def steps(self) -> int:
        """Number of evaluations that it may spend."""
        return self.setting.episodes

    def __str__(self) -> str:
        return self.label if is_deterministic(self.agent) else f"{self.label} seed {self.seed}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Entrant:
    """An agent that takes part in a study.

    Attributes:
        agent: the agent's name.
        code: `agents.fingerprint` of its code and files.
        arguments: keyword arguments that it is made with.
    """

    agent: str
    code: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def runs_of(setting: Setting, agents: Iterable[str | Entrant], seeds: int) -> list[Run]:
    """Return every run of a study, by seed, so that a partial study has equally many per agent.

    Args:
        setting: of all of them.
        agents: the agents; if only a name is given, the code is unknown.
        seeds: number of seeds 0, 1, ... of each agent; deterministic agents run once.

    Raises:
        BenchmarkError: ``seeds`` is below 1.
    """
    if seeds < 1:
        raise BenchmarkError(f"--seeds must be at least 1, not {seeds}")
    entrants = [Entrant(each) if isinstance(each, str) else each for each in agents]
    return [
        Run(setting, each.agent, seed, each.code, each.arguments)
        for seed in range(seeds)
        for each in entrants
        if seed == 0 or not is_deterministic(each.agent)
    ]


def distinguished(runs: Iterable[Run]) -> dict[Run, Run]:
    """Return each run with the variant that its label needs.

    An agent needs one if a setting holds runs of it with different code, because their results
    are those of different agents.
    """
    runs = list(runs)
    codes: dict[tuple[Setting, str], set[str | None]] = defaultdict(set)
    for run in runs:
        codes[run.setting, replace(run, variant="").label].add(run.code)
    several = {label for (_, label), known in codes.items() if len(known) > 1}

    def variant(run: Run) -> str:
        if replace(run, variant="").label not in several:
            return ""
        return " (code unknown)" if run.code is None else f" (code {run.code[:6]})"

    return {run: replace(run, variant=variant(run)) for run in runs}


def _digest(key: Mapping[str, Any]) -> str:
    canonical = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
