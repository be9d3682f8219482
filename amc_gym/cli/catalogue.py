"""``list`` and ``info``: what there is, and what can be pruned of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from torch import Tensor
from tyro.conf import Positional

from amc_gym._utils.names import choose, printable
from amc_gym._utils.nests import told
from amc_gym._utils.own_code import is_code
from amc_gym.cli.console import CommandError, own_code, say
from amc_gym.compression.cost import RESOURCES, TOLD
from amc_gym.engine.cache import engines
from amc_gym.registration import IDS
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import models, small
from amc_gym.zoo.resolving import resolve


@dataclass(frozen=True)
class Subject:
    """The network and data that a command is about.

    Attributes:
        id: a registered id, see `amc-gym list`, a network of the zoo, such as plain-digits-0, or
            package.module:function that returns an amc_gym.CompressionTask.
        dataset: data of a registered network: digits, cifar10, imagenet or folder.
        data_root: folder of the data sets that are read from disk; without it, $AMC_DATA_ROOT.
        weights: of a registered network: bundled, torchvision, random, or the path of a checkpoint.
    """

    id: Positional[str]
    dataset: str = "digits"
    data_root: Path | None = None
    weights: str = "bundled"

    @property
    def name(self) -> str:
        """Name of it for ``resolve`` and the environments."""
        if is_code(self.id):
            return own_code(self.id)
        if self.id == "AMC-v0":
            raise CommandError("AMC-v0 is for a task of your own: name it, package.module:function")
        if self.id in small.cards():
            return self.id
        return IDS[choose("id", self.id, IDS)]

    def task(self) -> CompressionTask:
        """Make the task."""
        return resolve(
            self.name, dataset=self.dataset, data_root=self.data_root, weights=self.weights
        )


def list_() -> None:
    """Say which networks are registered, their data sets, and the share of MACs kept by default."""
    table = Table("id", "network", "data sets (share of MACs kept by default)")
    for id_, network in IDS.items():
        variants = models.NETWORKS[network].variants
        shares = ", ".join(f"{name} ({entry.preserve_ratio:g})" for name, entry in variants.items())
        table.add_row(id_, network, shares)
    say(table)
    families = ", ".join(dict.fromkeys(card.family for card in small.cards().values()))
    say(f"Small networks of the zoo, such as plain-digits-0: {len(small.cards())} of {families}.")
    say("A network of your own: package.module:function that returns a CompressionTask.")


def info(subject: Subject) -> None:
    """Say what can be pruned of a network, what each layer costs, and what cannot be pruned.

    Args:
        subject: what it is about.
    """
    task = subject.task()
    graph = engines.analysis(task).graph
    costs = [RESOURCES[name].of_channels(graph) for name in TOLD]
    touched = [dict(zip(c.names, c.per_layer(graph.full).tolist(), strict=True)) for c in costs]

    table = Table("unit", title=f"{subject.id}: {len(graph.units)} units of decision")
    for column in ("channels", "layers", "MACs", "share", "parameters", "share"):
        table.add_column(column, justify="right")
    for unit in graph.units:
        cells = [str(unit.channels), str(len(unit.members))]
        for cost, of in zip(costs, touched, strict=True):
            value = sum(of[name] for name in unit.members)
            cells += [f"{value:,}", f"{value / cost.full:.1%}"]
        table.add_row(printable(unit.name), *cells)
    say(table)
    macs, params = costs
    say(f"whole network: {macs.full:,} MACs, {params.full:,} parameters")
    shape = tuple(task.example.shape[1:]) if isinstance(task.example, Tensor) else None
    what = f"inputs: {told(task.example)}" if shape is None else f"images: {shape}"
    say(f"{what}, {len(task.reward):,} of them for the reward")
    say("A unit's numbers are those of all layers that touch it; a layer may touch two units.")
    for name, reason in graph.fixed.items():
        say(f"cannot be pruned: {name} ({reason})")
