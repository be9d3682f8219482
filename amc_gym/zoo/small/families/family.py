"""Families of small networks: each has its builder, and how its sizes are drawn.

A new one is a file in this folder that calls ``register``; it is found by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

Sizes = dict[str, Any]
"""Arguments of a builder: whole numbers, texts and lists of them, as JSON has them."""


@dataclass(frozen=True)
class Family:
    """Networks of one kind.

    Attributes:
        name: what it is called, in names of networks too.
        builder: makes one from ``in_channels``, ``num_classes`` and its sizes.
        draw: (random numbers, stages) -> sizes of a network whose feature map is halved once fewer
            than there are stages.
        recipe: fields of the training recipe that differ from the other families'.
    """

    name: str
    builder: Callable[..., nn.Module]
    draw: Callable[[np.random.RandomState, int], Sizes]
    recipe: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {}
"""Name -> registered family."""


def register(family: Family) -> None:
    """Make a family known by its name.

    Raises:
        ValueError: another one has it.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already: choose another name")
    FAMILIES[family.name] = family


def widths(random: np.random.RandomState, stages: int, least: int, most: int) -> list[int]:
    """Channels of each stage: they start between bounds and grow, each a little off the rule.

    Args:
        random: where numbers come from.
        stages: how many widths.
        least: of the first stage.
        most: of the first stage.
    """
    first, growth = random.randint(least, most + 1), random.choice([1.4, 1.7, 2.0])
    return [
        max(4, int(first * growth**stage * random.uniform(0.8, 1.25))) for stage in range(stages)
    ]


def repeated(random: np.random.RandomState, stages: int, most: int) -> list[int]:
    """How many blocks each stage has: from 1 to ``most``."""
    return random.randint(1, most + 1, stages).tolist()
