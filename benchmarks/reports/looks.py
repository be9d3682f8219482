"""Looks of agents in all figures: a colour for each, and dashes for agents of one colour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

# Okabe and Ito's colours, which colour-blind readers can distinguish; yellow is too faint for
# lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

AGENTS = {
    "amc-ddpg": "#0072B2",
    "amc-ddpg-code": "#7FA8D1",
    "amc-policy": "#1B3A8C",
    "onnx-policy": "#3F5F7F",
    "sb3-ddpg": "#CC79A7",
    "sb3-ddpg-default": "#E0AFCB",
    "sb3-td3": "#882255",
    "sb3-td3-default": "#B5718F",
    "sb3-sac": "#7B52AB",
    "sb3-sac-default": "#B39DDB",
    "sb3-ppo": "#56B4E9",
    "sb3-ppo-default": "#A6D5F2",
    "sb3-policy": "#5E3C99",
    "sac": "#7B52AB",
    "ppo": "#56B4E9",
    "td3": "#882255",
    "cma-es": "#D55E00",
    "gp": "#E69F00",
    "tpe": "#B8860B",
    "evolution": "#A63C00",
    "random": "#8C6D31",
    "random-shares": "#C2A25D",
    "error-allocation": "#009E73",
    "loss-allocation": "#5BBFA3",
    "output-allocation": "#00695C",
    "netadapt": "#6B8E23",
    "uniform": "#222222",
    "shallow": "#8A8A2B",
    "deep": "#9C5A5A",
    "width-multiplier": "#5F6B73",
}
"""Agent -> colour: learners are blue or violet, searchers warm, allocations green."""

DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.2, 1.5, 1.2)))
"""Dashes for matplotlib, in the order in which agents of one colour get them."""

MARKERS = ("o", "s", "D", "^")
"""Markers, likewise, for agents drawn as points."""

GREY = "#555555"
REST = "#B8BEC6"
"""Colour of all further curves in a panel."""

COLOURED = 8
"""Number of curves in a panel with their own colour and a legend entry; more is confusing."""

Look = tuple[str, Any]
"""Colour and dashes."""


def ranks_of(agents: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return agent -> colour, and how many agents before it have that colour.

    An agent with arguments, "cma-es(sigma=0.2)", has the agent's colour, and so has an agent named
    as its variant, "cma-es-uniform".  Other names always get the same one of ``COLOURS``, unless
    too many agents here have it.
    """
    found: dict[str, tuple[str, int]] = {}
    taken: dict[str, int] = {}
    for agent in sorted(set(agents)):
        colour = _colour(agent)
        first = COLOURS.index(colour) if colour in COLOURS else 0
        spare = (COLOURS[(first + i) % len(COLOURS)] for i in range(len(COLOURS)))
        if taken.get(colour, 0) >= len(DASHES):
            colour = next((each for each in spare if taken.get(each, 0) < len(DASHES)), colour)
        found[agent] = colour, taken.get(colour, 0) % len(DASHES)
        taken[colour] = taken.get(colour, 0) + 1
    return found


def _colour(agent: str) -> str:
    if agent in AGENTS:
        return AGENTS[agent]
    variants = (name for name in AGENTS if re.match(rf"{re.escape(name)}[^a-z0-9]", agent))
    known = max(variants, key=len, default=None)
    return AGENTS[known] if known else COLOURS[crc32(agent.encode()) % len(COLOURS)]


def looks_of(agents: Iterable[str]) -> dict[str, Look]:
    """Return agent -> colour and dashes."""
    return {agent: (colour, DASHES[rank]) for agent, (colour, rank) in ranks_of(agents).items()}


def marker_of(look: Look) -> dict[str, Any]:
    """Return how an agent's points are drawn: filled for the first of its colour, then hollow."""
    colour, dashes = look
    later = DASHES.index(dashes)
    face = "white" if later else colour
    return {"marker": MARKERS[later], "color": colour, "markerfacecolor": face}


def with_colours(best_first: Sequence[str]) -> list[str]:
    """Return the agents that have a colour in a panel: the best ones, and the paper's own."""
    named = list(best_first[:COLOURED])
    if "amc-ddpg" in best_first and "amc-ddpg" not in named:
        named[-1] = "amc-ddpg"
    return named
