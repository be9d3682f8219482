"""Small networks by name, drawn from a seed: the same name always gives the same network.

A policy for networks that it has never seen is trained on some networks and tested on others, so
each network belongs to one of three splits:

| split       | contents                                                          |
|-------------|-------------------------------------------------------------------|
| ``train``   | networks to train policies on                                     |
| ``members`` | test: every fourth network of the families in ``train``           |
| ``family``  | test: all of ``HELD_OUT``, a family that is not in ``train``      |

All three have networks on both data sets.  CIFAR-10 is data that no policy of the zoo has seen: its
bundled networks (Plain-20, ResNet-56, MobileNet) are in none of these splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from amc_gym._utils.names import choose
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.zoo.small.families import FAMILIES, Sizes

HELD_OUT = "inverted"
"""The family that no policy is trained on; it shares some parts with other families, not all."""

DATA = {
    "digits": {"classes": 10, "resolutions": (12, 16, 20)},
    "glyphs": {"classes": 26, "resolutions": (20, 24, 28)},
}
"""Data set -> number of classes, and image sides to draw from."""

EACH = 6
"""Number of networks of each family on each data set."""

STAGES = (3, 4)
"""Numbers of stages to draw from; the feature map is halved between stages."""

PARAMETERS = (5_000, 80_000)
MACS = (150_000, 2_000_000)
"""Bounds on a network's size: training takes a minute, an evaluation milliseconds."""


@dataclass(frozen=True)
class Member:
    """A network that the generator draws.

    Attributes:
        name: family, data set and number, "plain-digits-0".
        family: name in ``FAMILIES``.
        dataset: data set with its options, "digits?resolution=12".
        split: "train", "members" or "family", see above.
        seed: number of the network; its initial weights come from it, too.
        architecture: arguments of the family's builder.
    """

    name: str
    family: str
    dataset: str
    split: str
    seed: int
    architecture: Sizes


def names(each: int = EACH) -> Iterator[str]:
    """Yield all names, ordered so that every stretch has all families and both data sets.

    Args:
        each: number of networks of each family on each data set.
    """
    for number in range(each):
        for data in DATA:
            for family in FAMILIES:
                yield f"{family}-{data}-{number}"


def draw(name: str) -> Member:
    """Draw one network, repeatedly until it is within ``PARAMETERS`` and ``MACS``.

    Args:
        name: family, data set and number, "plain-digits-0"; networks of different names are
            independent.

    Raises:
        ValueError: family, data set or number is invalid.
    """
    family, data, number = _parts(name)
    random = np.random.RandomState([number, *f"{family}-{data}".encode()])  # a fixed stream
    given = {"in_channels": 1, "num_classes": DATA[data]["classes"]}
    while True:
        resolution = int(random.choice(DATA[data]["resolutions"]))
        stages = int(random.choice(STAGES))
        architecture = given | FAMILIES[family].draw(random, stages)
        if _fits(family, architecture, resolution):
            break
    return Member(
        name=name,
        family=family,
        dataset=f"{data}?resolution={resolution}",
        split=_split(family, number),
        seed=number,
        architecture=architecture,
    )


def build(family: str, architecture: dict[str, Any]) -> nn.Module:
    """Return the untrained network, initialised from torch's global generator, in training mode."""
    return FAMILIES[family].builder(**architecture)


def _parts(name: str) -> tuple[str, str, int]:
    family, _, rest = name.partition("-")
    data, _, number = rest.partition("-")
    choose("family", family, FAMILIES)
    choose("data set", data, DATA)
    if not (number.isdecimal() and len(number) < 10):
        raise ValueError(f"{name!r} should end in a number, such as {family}-{data}-0")
    return family, data, int(number)


def _fits(family: str, architecture: Sizes, resolution: int) -> bool:
    with torch.random.fork_rng(devices=[]):
        model = build(family, architecture).eval()
    if not PARAMETERS[0] <= counted_params(model) <= PARAMETERS[1]:
        return False
    image = torch.zeros(1, architecture["in_channels"], resolution, resolution)
    return MACS[0] <= counted_macs(model, image) <= MACS[1]


def _split(family: str, number: int) -> str:
    if family == HELD_OUT:
        return "family"
    return "members" if number % 4 == 3 else "train"
