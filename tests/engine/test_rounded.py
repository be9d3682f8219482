"""Rounded widths: networks whose widths are rounded up score as the compressed networks."""

from __future__ import annotations

import pytest
import torch
from judging import engine, plans

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
        ("depthwise-digits-0", "reconstruct"),
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
        assert abs(found.score * made.reward_images - built) <= 1  # a tie may break differently


def test_widths_are_multiples_or_those_of_the_original() -> None:
    made = engine(resolve("MobileNet"), "slim")
    full = {unit.channels for unit in made.graph.units}
    for counts in plans(made, 3):
        assert any(count % MULTIPLE for count in counts)
        network = made.evaluator.network(counts)
        widths = [len(m.weight) for m in network.modules() if getattr(m, "groups", 1) > 1]
        assert len(widths) == 13
        assert all(width % MULTIPLE == 0 or width in full for width in widths)


@pytest.mark.parametrize("name", ["Plain20", "VGG16"])
def test_dense_convolutions_keep_their_widths(name: str) -> None:
    assert isinstance(source_of(engine(resolve(name), "slim")), Pruner)


def test_units_without_depthwise_convolutions_keep_their_widths() -> None:
    made = engine(resolve("MobileNetV2"), "slim")
    source = source_of(made)
    assert isinstance(source, RoundedPruner)
    counts = [max(1, unit.channels // 2 - 1) for unit in made.graph.units]
    widths = source.widths(counts)
    assert widths != counts
    assert any(each % MULTIPLE for each in widths)  # streams keep widths that are no multiple


@pytest.mark.parametrize("name", ["concatenating-digits-0", "ResNet56"])
def test_tensors_that_are_selected_by_index_keep_their_widths(name: str) -> None:
    assert isinstance(source_of(engine(resolve(name), "slim")), Pruner)


def test_zeros_that_are_missing_are_found_before_anything_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unread(self: RoundedPruner, counts, name: str) -> dict[str, torch.Tensor]:
        return self._pruner.tensors(self.widths(counts), name)

    task = resolve("depthwise-digits-0")
    assert isinstance(source_of(engine(task, "slim")), RoundedPruner)
    monkeypatch.setattr(rounded.RoundedPruner, "tensors", unread)
    assert isinstance(source_of(engine(task, "slim")), Pruner)
