"""Environment pages, one for each registered id, made from the environment without training."""

from __future__ import annotations

import inspect
import io
from functools import partial
from typing import Any

import gymnasium as gym
from PIL import Image

from amc_gym._utils.options import markdown
from amc_gym.cli.catalogue import UNIT, unit_rows
from amc_gym.compression.cost import REPORTED, RESOURCES
from amc_gym.registration import IDS, SUITES
from amc_gym.suites.context import Context
from amc_gym.suites.suite import Suite
from amc_gym.zoo import bundled, models
from website.markdown import summary

OWN = "AMC-v0"
"""The id for a task of your own."""

GENERAL = "../reference/{}.md"
"""Page of a class of environments: actions, observations, rewards, arguments."""


def pages() -> dict[str, str | bytes]:
    """Return the text of each page, and each picture, by the name of its file."""
    networks = {id_: gym.make(id_, render_mode="rgb_array").unwrapped for id_ in IDS}
    suites = {id_: gym.make(id_).unwrapped for id_ in SUITES}
    return (
        {"index.md": _index(networks, suites), f"{OWN}.md": _own()}
        | {f"{id_}.md": _network(id_, env) for id_, env in networks.items()}
        | {f"{id_}.md": _suite(id_, env) for id_, env in suites.items()}
        | {f"{id_}.png": _picture(env) for id_, env in networks.items()}
    )


def _index(networks: dict[str, Any], suites: dict[str, Any]) -> str:
    rows = [("id", "network", "steps of an episode", "MACs of the network", "kept by default")]
    rows += [
        (f"[`{id_}`]({id_}.md)", IDS[id_], str(env.steps_per_episode), _macs(env), _kept(env))
        for id_, env in networks.items()
    ]
    many = [("id", "suite", "networks", "contexts")]
    many += [
        (f"[`{id_}`]({id_}.md)", f"`{s.name}`", str(len(s.networks)), str(len(s)))
        for id_, s in ((id_, env.suite) for id_, env in suites.items())
    ]
    return _joined(
        "# Environments",
        "Every id is made by `gym.make`, with the keywords of its page. Weights and images of the "
        "defaults are bundled: nothing is downloaded.",
        "## One network",
        markdown(rows),
        f"[`{OWN}`]({OWN}.md) takes a network of your own.",
        "## Many networks",
        "Every episode compresses another network of a suite ([suites](../suites.md)).",
        markdown(many),
    )


def _network(id_: str, env: Any) -> str:
    name = IDS[id_]
    references = env.problem.references
    facts = [
        ("", ""),
        ("network", f"`{name}`: {_described(name)}"),
        ("size", f"{_macs(env)} MACs, {_params(env)} parameters"),
        ("action space", f"`{env.action_space}`"),
        ("observation space", f"`{env.observation_space}`"),
        ("steps of an episode", f"{env.steps_per_episode}, one for each unit"),
        ("budget by default", f"{_kept(env)} of the MACs"),
        ("accuracy of the full network", f"{references.full:.1%} on the reward images"),
        ("accuracy of the uniform plan", f"{references.uniform:.1%}, within the budget"),
    ]
    graph = env.engine.graph
    fixed = [f"- `{part}`: {reason}" for part, reason in graph.fixed.items()]
    return _joined(
        f"# {id_}",
        _made(f'gym.make("{id_}")'),
        markdown(facts),
        "The uniform plan takes the same share of every unit's channels; no fine-tuning.",
        f"![Channels kept in each unit]({id_}.png)",
        "An episode as `render()` shows it: the plan of least total error within the budget, which "
        "is known before any evaluation.",
        "## Data",
        "By `dataset=` and, where they are not bundled, `weights=` and `data_root=` "
        "([data](../data.md)).",
        markdown(_data_rows(name)),
        "## Units",
        "One unit is decided in each step, in this order. Its numbers are those of all layers that "
        "touch it; a layer may touch two units.",
        markdown([UNIT, *unit_rows(graph)]),
        "What cannot be pruned stays whole:" if fixed else "",
        "\n".join(fixed),
        _more("AMCEnv"),
    )


def _picture(env: Any) -> bytes:
    """Return the PNG of an episode that ends in the plan of least error."""
    env.execute(env.problem.allocation.least_error, through=env)
    png = io.BytesIO()
    Image.fromarray(env.render()).save(png, "png")
    return png.getvalue()


def _described(network: str) -> str:
    builder = models.NETWORKS[network].builder
    return summary(inspect.getdoc(builder.func if isinstance(builder, partial) else builder))


def _data_rows(network: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("dataset", "share of the MACs kept by default", "weights")]
    for dataset, variant in models.NETWORKS[network].variants.items():
        kept = f"{variant.preserve_ratio:.0%}"
        rows.append((f'`"{dataset}"`', kept, _weights(network, dataset)))
    return rows


def _weights(network: str, dataset: str) -> str:
    try:
        card = bundled.find(network, dataset)
    except ValueError:
        return "yours"
    return f"bundled: {card['accuracy']['test']['top1']:.1%} on the test images"


def _suite(id_: str, env: Any) -> str:
    suite: Suite = env.suite
    contexts = [_context_row(context) for context in suite.contexts]
    return _joined(
        f"# {id_}",
        _made(f'gym.make("{id_}")'),
        f"Suite `{suite.name}`: {suite.summary}",
        markdown(
            [
                ("", ""),
                ("action space", f"`{env.action_space}`"),
                ("observation space", f"`{env.observation_space}`"),
                ("networks", str(len(suite.networks))),
                ("contexts", str(len(suite))),
            ]
        ),
        "## Contexts",
        "Every `reset` draws one, each with the same probability.",
        markdown([("network", "dataset", "kept", "of", "pruned"), *contexts]),
        _more("SuiteEnv"),
    )


def _context_row(context: Context) -> tuple[str, ...]:
    ratio = context.preserve_ratio
    kept = ratio if isinstance(ratio, str) else f"{ratio:.0%}"
    cells = (f"`{context.network}`", context.dataset, kept, context.resource, context.granularity)
    return tuple(str(cell) for cell in cells)


def _own() -> str:
    return _joined(
        f"# {OWN}",
        "Compresses a network of your own, on your own images:",
        _made(f'gym.make("{OWN}", task=task, preserve_ratio=0.5)'),
        "`task` is a [`CompressionTask`](../reference/CompressionTask.md), a function without "
        'arguments that returns one, or its name, `"package.module:function"`. Which networks can '
        "be compressed: [networks](../networks.md).",
        _more("AMCEnv"),
    )


def _made(call: str) -> str:
    return f"```python\nimport gymnasium as gym, amc_gym\n\nenv = {call}\n```"


def _more(cls: str) -> str:
    page = GENERAL.format(cls)
    return _joined(
        "## Keywords, actions, rewards",
        f"Those of every such id are on the page of [`{cls}`]({page}), each keyword with its "
        "default in [options](../reference/options.md).",
    )


def _macs(env: Any) -> str:
    return f"{RESOURCES[REPORTED[0]].of_channels(env.engine.graph).full:,}"


def _params(env: Any) -> str:
    return f"{RESOURCES[REPORTED[1]].of_channels(env.engine.graph).full:,}"


def _kept(env: Any) -> str:
    return f"{env.task.preserve_ratio:.0%}"


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
