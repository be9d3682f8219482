"""Fingerprints of agents: they change with the agent's code and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agents
from agents import sources
from agents.sb3 import SB3

FILES = {
    "mine.py": """
import functools, json, pathlib
import agents
from helpers import tools
from mine_settings import RATE

class Mine:
    def __init__(self, env, seed, rate=RATE): ...
    def learn(self, episodes):
        import lazy_part
        pathlib.Path(__file__).with_name("mine.yml").read_text()

agents.register("mine")(Mine)
agents.register("mine-fast")(functools.partial(Mine, rate=2.0))
""",
    "mine_settings.py": "RATE = 0.5\n",
    "lazy_part.py": "X = 1\n",
    "mine.yml": "rate: 1\nhelper: helpers.named.Thing\n",
    "helpers/__init__.py": "",
    "helpers/tools.py": "from . import deeper\n",
    "helpers/deeper.py": "Y = 1\n",
    "helpers/named.py": "class Thing: ...\n",
    "helpers/unused.py": "Z = 1\n",
    "other.py": "W = 1\n",
    "other.yml": "a: 1\n",
}
OWN = {
    "mine.py",
    "mine_settings.py",
    "lazy_part.py",
    "mine.yml",
    "helpers/__init__.py",
    "helpers/tools.py",
    "helpers/deeper.py",
    "helpers/named.py",
}

Fingerprint = Callable[..., str]


@pytest.fixture
def fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fingerprint]:
    """Return a function that fingerprints an agent from `FILES` as they are on disk now."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    modules, factories = set(sys.modules), dict(agents.FACTORIES)
    importlib.import_module("mine")
    yield lambda name="mine": agents.fingerprint(name)
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    agents.FACTORIES.clear()
    agents.FACTORIES.update(factories)


def test_only_the_agents_own_files_change_the_fingerprint(
    tmp_path: Path, fingerprint: Fingerprint
) -> None:
    before = fingerprint()
    for name in FILES:
        path = tmp_path / name
        text = path.read_text()
        path.write_text(text + "\n# changed\n")
        assert (fingerprint() != before) == (name in OWN), name
        path.write_text(text)
    assert fingerprint() == before


def test_arguments_of_a_partial_change_the_fingerprint(fingerprint: Fingerprint) -> None:
    assert fingerprint("mine-fast") != fingerprint("mine")


def changed(monkeypatch: pytest.MonkeyPatch, *names: str) -> set[str]:
    """Return the agents whose fingerprint changes when files of these names do."""
    before = {name: agents.fingerprint(name) for name in AGENTS}
    content = sources._content
    with monkeypatch.context() as patch:
        patch.setattr(
            sources,
            "_content",
            lambda path: content(path) + b"#" * path.as_posix().endswith(names),
        )
        return {name for name in AGENTS if agents.fingerprint(name) != before[name]}


AGENTS = ("amc-ddpg", "random", "sb3-ddpg", "sb3-td3", "sb3-td3-default", "sb3-ppo", "netadapt")


def test_rows_and_what_they_name_belong_to_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(monkeypatch, "paper/td3.yml") == {"sb3-td3"}
    assert changed(monkeypatch, "sb3/td3.yml") == {"sb3-td3-default"}
    # Only agents with the paper's hyper-parameters use this class.
    assert changed(monkeypatch, "agents/replay.py") == {"sb3-ddpg", "sb3-td3"}
    assert changed(monkeypatch, "agents/amc_ddpg.py") == {"amc-ddpg"}


def test_registry_and_environments_are_part_of_no_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not changed(monkeypatch, "agents/__init__.py", "agents/registry.py")
    assert not changed(monkeypatch, "amc_gym/envs/amc.py", "benchmarks/__init__.py")


def test_arguments_decide_which_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "td3.yml").write_text("default: {}\n")
    one = agents.fingerprint("sb3-td3", hyperparams=str(tmp_path))
    assert one != agents.fingerprint("sb3-td3")
    (tmp_path / "td3.yml").write_text("default: {gamma: 0.5}\n")
    assert agents.fingerprint("sb3-td3", hyperparams=str(tmp_path)) != one
    with pytest.raises(FileNotFoundError):
        agents.fingerprint("sb3-td3", hyperparams=str(tmp_path / "nowhere"))


class Chosen(SB3):
    """An agent that chooses its own hyper-parameters."""

    def __init__(self, env: Any, seed: int) -> None:
        super().__init__(env, seed, algorithm="sac", hyperparams="paper")


def test_a_subclass_may_choose_its_row_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sources.fingerprint(Chosen)
    content = sources._content
    monkeypatch.setattr(sources, "_content", lambda p: content(p) + b"#" * (p.name == "sac.yml"))
    assert sources.fingerprint(Chosen) != before


def test_code_that_nobody_can_read_is_refused() -> None:
    scope = {"__name__": "typed_in"}
    exec("class Typed: ...", scope)
    with pytest.raises(ValueError, match="define the agent in a module"):
        sources.fingerprint(scope["Typed"])
    assert sources.fingerprint_of_module("typed_in") is None
