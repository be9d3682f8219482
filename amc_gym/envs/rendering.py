"""A frame that shows an episode, and its table for terminals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Frame:
    """The state of an episode: units, counts so far, and the main figures."""

    names: Sequence[str]
    channels: Sequence[int]
    executed: Sequence[int]
    resource: str
    ratio: float  # the network's present share of the resource
    score: float | None  # of the finished plan on the reward images
    score_name: str = "accuracy"
    budget: float | None = None  # share of the resource that a plan may keep

    @property
    def headline(self) -> str:
        """Return decided units, cost and score in one line."""
        decided = f"{len(self.executed)}/{len(self.channels)} units decided"
        cost = f"{self.resource} {self.ratio:.1%}"
        reached = "" if self.score is None else f", {self.score_name} {self.score:.2%}"
        return f"{decided}, {cost}{reached}"


def ansi(frame: Frame) -> str:
    """Return a table with one row per unit."""
    table = Table(title=frame.headline, box=box.SIMPLE_HEAD)
    table.add_column("unit")
    for column in ("channels", "kept", "sparsity"):
        table.add_column(column, justify="right")
    for index, (name, channels) in enumerate(zip(frame.names, frame.channels, strict=True)):
        if index < len(frame.executed):
            kept = frame.executed[index]
            table.add_row(name, str(channels), str(kept), f"{1 - kept / channels:.3f}")
        else:
            table.add_row(name, str(channels), "", "")
    text = io.StringIO()
    Console(file=text, width=80).print(table)
    return text.getvalue()
