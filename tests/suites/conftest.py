"""A suite of two small networks that are a user's own."""

from __future__ import annotations

import pytest
import torch
from small import PlainStack, images, lively
from torch import nn

from amc_gym import CompressionTask, Context, Suite


class Pair(nn.Module):
    """A network of two convolutions; its episodes are shorter than those of the other network."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
        self.classifier = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.classifier(x.mean((2, 3)))


@pytest.fixture(scope="session")
def suite() -> Suite:
    torch.manual_seed(0)
    stack, pair = (
        CompressionTask(lively(model), images(200, 1), images(40, 2), images(40, 3))
        for model in (PlainStack(), Pair())
    )
    return Suite(
        "own",
        [
            Context(stack, 0.4, network="stack", group="train"),
            Context(stack, 0.6, network="stack", group="train"),
            Context(stack, 0.6, network="stack", resource="params", group="test"),
            Context(pair, network="pair", group="test"),
        ],
    )
