"""``list`` and ``info``: the registered networks, and what can be pruned in them."""

from __future__ import annotations

from rich.table import Table
from torch import Tensor

from amc_gym._utils.names import printable
from amc_gym._utils.nests import shape_text
from amc_gym.cli.commands import Info, List
from amc_gym.cli.console import say
from amc_gym.cli.opening import opened_task
from amc_gym.compression.cost import REPORTED, RESOURCES
from amc_gym.compression.graph import ChannelGraph
from amc_gym.engine.cache import engines
from amc_gym.registration import IDS
from amc_gym.zoo import models, small

UNIT = ("unit", "channels", "layers", "MACs", "share", "parameters", "share")
"""Columns of ``unit_rows``."""


def list_(command: List) -> None:
    """Show a table of the registered networks."""
    table = Table("id", "network", "data sets (share of MACs kept by default)")
    for id_, network in IDS.items():
        variants = models.NETWORKS[network].variants
        shares = ", ".join(f"{name} ({entry.preserve_ratio:g})" for name, entry in variants.items())
        table.add_row(id_, network, shares)
    say(table)
    families = ", ".join(dict.fromkeys(card.family for card in small.cards().values()))
    say(f"Small networks of the zoo, such as plain-digits-0: {len(small.cards())} of {families}.")
    say("A network of your own: package.module:function that returns a CompressionTask.")


def info(command: Info) -> None:
    """Show the units of decision with their costs, and why other channels stay whole."""
    task = opened_task(command.subject)
    graph = engines.analysis(task).graph
    table = Table(UNIT[0], title=f"{command.subject.id}: {len(graph.units)} units of decision")
    for column in UNIT[1:]:
        table.add_column(column, justify="right")
    for row in unit_rows(graph):
        table.add_row(*row)
    say(table)
    macs, params = (RESOURCES[name].of_channels(graph) for name in REPORTED)
    say(f"whole network: {macs.full:,} MACs, {params.full:,} parameters")
    shape = tuple(task.example.shape[1:]) if isinstance(task.example, Tensor) else None
    what = f"inputs: {shape_text(task.example)}" if shape is None else f"images: {shape}"
    say(f"{what}, {len(task.reward):,} of them for the reward")
    say("A unit's figures are sums over all layers that touch it; a layer may touch two units.")
    for name, reason in graph.fixed.items():
        say(f"cannot be pruned: {name} ({reason})")


def unit_rows(graph: ChannelGraph) -> list[tuple[str, ...]]:
    """Return the row of each unit: name, channels, layers, and costs with their shares."""
    costs = [RESOURCES[name].of_channels(graph) for name in REPORTED]
    touched = [dict(zip(c.names, c.per_layer(graph.full).tolist(), strict=True)) for c in costs]
    rows = []
    for unit in graph.units:
        cells = [printable(unit.name), str(unit.channels), str(len(unit.members))]
        for cost, of in zip(costs, touched, strict=True):
            value = sum(of[name] for name in unit.members)
            cells += [f"{value:,}", f"{value / cost.full:.1%}"]
        rows.append(tuple(cells))
    return rows
