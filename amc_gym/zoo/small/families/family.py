"""Families of small networks, each with its builder and a way to draw sizes.

A new family is a file in this folder that calls ``register``; it is found automatically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

Sizes = dict[str, Any]
"""Arguments of a builder: integers, strings and lists of them, which JSON can hold."""


@dataclass(frozen=True)
class Family:
    """Networks of one kind.

    Attributes:
        name: its name, also in names of networks.
        builder: makes a network from ``in_channels``, ``num_classes`` and its sizes.
        draw: (random generator, stages) -> sizes of a network whose feature map is halved once
            between stages.
        recipe: fields of the training recipe that differ from the other families'.
    """

    name: str
    builder: Callable[..., nn.Module]
    draw: Callable[[np.random.RandomState, int], Sizes]
    recipe: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {}
"""Name -> registered family."""


def register(family: Family) -> None:
    """Register a family by its name.

    Raises:
        ValueError: another family has that name.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already: choose another name")
    FAMILIES[family.name] = family


def widths(random: np.random.RandomState, stages: int, least: int, most: int) -> list[int]:
    """Draw the channels of each stage, which start between bounds and grow with some noise.

    Args:
        random: random generator.
        stages: number of widths.
        least: lower bound of the first stage.
        most: upper bound of the first stage.
    """
    first, growth = random.randint(least, most + 1), random.choice([1.4, 1.7, 2.0])
    return [
        max(4, int(first * growth**stage * random.uniform(0.8, 1.25))) for stage in range(stages)
    ]


def repeated(random: np.random.RandomState, stages: int, most: int) -> list[int]:
    """Draw the number of blocks in each stage, from 1 to ``most``."""
    return random.randint(1, most + 1, stages).tolist()
