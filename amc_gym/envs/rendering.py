"""Pictures of an episode: a table for terminals, bars for videos."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from rich import box
from rich.console import Console
from rich.table import Table

WIDTH, HEIGHT = 640, 320
_MARGIN, _TOP = 16, 40
_PAPER, _INK, _FULL, _KEPT = "#ffffff", "#22272e", "#d9dee5", "#2f6fab"


@dataclass(frozen=True)
class Frame:
    """The state of an episode: units, the counts decided so far, and the headline numbers."""

    names: Sequence[str]
    channels: Sequence[int]
    executed: Sequence[int]
    resource: str
    ratio: float  # share of the resource that the network has now
    score: float | None  # of the finished plan on the reward images
    score_name: str = "accuracy"

    @property
    def headline(self) -> str:
        """Units decided, cost and reward, in one line."""
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


def rgb_array(frame: Frame) -> np.ndarray:
    """Bars of kept channels per unit, (320, 640, 3) uint8."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), frame.headline, fill=_INK)
    n = len(frame.channels)
    slot = (WIDTH - 2 * _MARGIN) / n
    bar = max(1.0, 0.8 * slot)
    base, room = HEIGHT - _MARGIN, HEIGHT - _MARGIN - _TOP
    for index, channels in enumerate(frame.channels):
        left = _MARGIN + index * slot
        draw.rectangle((left, _TOP, left + bar, base), fill=_FULL)
        if index < len(frame.executed):
            top = base - room * frame.executed[index] / channels
            draw.rectangle((left, top, left + bar, base), fill=_KEPT)
    return np.asarray(image)
