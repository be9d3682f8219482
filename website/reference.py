"""Reference pages, one for each public name, filled in from docstrings by mkdocstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import agents
from amc_gym import api
from amc_gym._utils.options import markdown
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.options import EnvOptions
from amc_gym.suites.environment import SuiteEnv
from amc_gym.zoo.resolving import TaskOptions
from website.markdown import summary

ENVIRONMENTS = (AMCEnv, SuiteEnv)
BARE = ("separate_signature: false", "show_signature: false", "show_bases: false", "members: false")
"""Options of mkdocstrings for a page that shows only the class's docstring."""

OPTIONS = (TaskOptions, EngineOptions, EnvOptions)


def pages() -> dict[str, str]:
    """Return the text of each page by file name."""
    public = {name: getattr(api, name) for name in api.__all__}
    return (
        {"index.md": _index(public)}
        | {f"{cls.__name__}.md": _environment(cls) for cls in ENVIRONMENTS}
        | {"options.md": _options()}
        | {f"{name}.md": _name(f"amc_gym.{name}", f"amc_gym.api.{name}") for name in public}
        | {"agents.md": _agents()}
    )


def _index(public: dict[str, Any]) -> str:
    parts = [(cls.__name__, cls) for cls in ENVIRONMENTS]
    return "\n\n".join(
        (
            "# Reference",
            "All public names, from their docstrings.",
            "## Environments",
            _linked(parts),
            "Their keywords in one place: [options](options.md).",
            "## `amc_gym`",
            _linked(public.items()),
            "## `agents`",
            "The protocol of agents, and those there are: [agents](agents.md).",
        )
    )


def _linked(named: Iterable[tuple[str, Any]]) -> str:
    rows = [("name", "what it is")]
    rows += [(f"[`{name}`]({name}.md)", summary(inspect.getdoc(each))) for name, each in named]
    return markdown(rows)


def _environment(cls: type) -> str:
    """Return the page of an environment class that ``gym.make`` makes."""
    path = f"{cls.__module__}.{cls.__name__}"
    return _name(cls.__name__, path, *BARE)


def _options() -> str:
    names = [f"{cls.__module__}.{cls.__name__}" for cls in OPTIONS]
    return _page("Options", names, "Keywords of `gym.make`, by what they are about.")


def _agents() -> str:
    rows = [("agent", "kind", "same with every seed", "needs")]
    for name, agent in sorted(agents.FACTORIES.items()):
        needs = ", ".join(agent.needs)
        rows.append((f"`{name}`", agent.kind, "yes" if agent.deterministic else "no", needs))
    text = (
        f"{summary(agents.__doc__)}\n\n## Agents there are\n\n{markdown(rows)}\n\n## The protocol"
    )
    return _page("Agents", [f"agents.{name}" for name in agents.__all__], text)


def _name(title: str, path: str, *options: str) -> str:
    """Return the page of one name, with the name as its heading."""
    lines = "".join(f"      {o}\n" for o in ("heading_level: 1", f"heading: {title}", *options))
    return f"---\ntitle: {title}\n---\n\n::: {path}\n    options:\n{lines}"


def _page(title: str, names: list[str], text: str = "") -> str:
    return "\n\n".join([f"# {title}", text, *(f"::: {name}" for name in names)])
