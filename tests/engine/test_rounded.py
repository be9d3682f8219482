"""Networks whose widths are rounded up are judged as the networks that are handed over."""

from __future__ import annotations

import pytest
import torch
from judging import engine, plans
from torch import nn

from amc_gym import CompressionTask, Split
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.pruning import rounded
from amc_gym.compression.pruning.candidates import SwappedNetwork
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.rounded import MULTIPLE, RoundedPruner
from amc_gym.engine.engine import Engine
from amc_gym.zoo.resolving import resolve


def source_of(made: Engine) -> object:
    assert isinstance(made.evaluator.network, SwappedNetwork)
    return made.evaluator.network.source


@pytest.mark.parametrize(
    ("name", "recovery"),
    [
        ("MobileNet", "none"),
        ("MobileNet", "reconstruct"),
        ("MobileNetV2", "reconstruct"),
        ("Plain20", "none"),
        ("VGG16", "reconstruct"),  # with a linear layer behind what is flattened
        ("inverted-digits-0", "none"),
    ],
)
def test_a_plan_has_the_hits_of_the_network_that_is_built(name: str, recovery: str) -> None:
    made = engine(resolve(name), "slim", recovery=recovery)
    assert isinstance(source_of(made), RoundedPruner)
    batches = list(made.task.reward.first(made.reward_images).batches(50))
    for counts in plans(made, 3):
        found = made.evaluator(counts)
        built = count_hits(made.pruning.build(counts), batches).top1
        assert abs(found.score * made.reward_images - built) <= 1  # a tie may fall otherwise


def test_widths_are_multiples_or_those_of_the_original() -> None:
    made = engine(resolve("MobileNet"), "slim")
    full = {unit.channels for unit in made.graph.units}
    for counts in plans(made, 3):
        assert any(count % MULTIPLE for count in counts)
        network = made.evaluator.network(counts)
        widths = [len(m.weight) for m in network.modules() if getattr(m, "groups", 1) > 1]
        assert len(widths) == 13
        assert all(width % MULTIPLE == 0 or width in full for width in widths)


@pytest.mark.parametrize("groups", [1, 4])
def test_units_in_blocks_keep_their_widths(groups: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 24, 3, groups=groups),
        nn.ReLU(),
        nn.Conv2d(24, 10, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    splits = [Split(torch.rand(n, 1, 8, 8), torch.arange(n) % 10) for n in (60, 40, 20)]
    made = engine(CompressionTask(model.eval(), *splits), "slim", recovery="none")
    assert isinstance(source_of(made), RoundedPruner if groups == 1 else Pruner)


@pytest.mark.parametrize("name", ["concatenating-digits-0", "ResNet56"])
def test_tensors_that_are_selected_by_index_keep_their_widths(name: str) -> None:
    assert isinstance(source_of(engine(resolve(name), "slim")), Pruner)


def test_zeros_that_are_missing_are_found_before_anything_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unread(self: RoundedPruner, counts, name: str) -> dict[str, torch.Tensor]:
        return self._pruner.tensors(self.widths(counts), name)

    task = resolve("plain-digits-0")
    assert isinstance(source_of(engine(task, "slim")), RoundedPruner)
    monkeypatch.setattr(rounded.RoundedPruner, "tensors", unread)
    assert isinstance(source_of(engine(task, "slim")), Pruner)
