"""Shrinking: pruned channels fade out before they are cut, so that the cut changes nothing."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import images, same
from torch import Tensor, nn

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Split
from amc_gym.compression.cost import counted_params
from amc_gym.compression.pruning.cut import channel_cut, weight_cut
from amc_gym.compression.slim import slim
from amc_gym.compression.tracing import trace
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train
from amc_gym.training.optimization import make_average
from amc_gym.training.recipe import Recipe
from amc_gym.training.run import NOTHING, Run
from amc_gym.zoo import bundled, models

RECIPE = Recipe(4, 32, 0.02, schedule="cosine", weight_decay=5e-4, distillation=0.5, shrink=2)


@pytest.fixture(scope="module")
def training_images(digits_task: CompressionTask) -> Split:
    return amc_gym.training_images(digits_task).first(128)


@pytest.fixture(scope="module")
def plans(digits_task: CompressionTask) -> dict[str, CompressionPlan]:
    return {
        granularity: amc_gym.search(
            make_env(digits_task, granularity=granularity, recovery="none", **options),
            1,
            progress=False,
        )
        for granularity, options in (
            ("channel", {"preserve_ratio": 0.4}),
            ("weight", {"preserve_ratio": 0.25, "resource": "params"}),
        )
    }


def answers(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(inputs)


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_after_shrinking_the_cut_changes_nothing_and_before_it_does(
    granularity: str,
    digits_task: CompressionTask,
    plans: dict[str, CompressionPlan],
    training_images: Split,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks: list[nn.Module] = []
    half: list[float] = []
    cut, epoch = Run._cut, Run.epoch

    def seen(run: Run) -> None:
        networks.append(copy.deepcopy(run.model))
        cut(run)
        networks.append(copy.deepcopy(run.model))

    def halfway(run: Run, number: int, split: Split) -> float:
        loss = epoch(run, number, split)
        if number == 0:
            assert run.cut is not None
            early = run.cut.make(run.model)
            half.append(relative(answers(run.model, unseen), answers(early, unseen)))
        return loss

    monkeypatch.setattr(Run, "_cut", seen)
    monkeypatch.setattr(Run, "epoch", halfway)
    plan, unseen = plans[granularity], digits_task.test.images
    tuned = amc_gym.finetune(digits_task, plan, training_images, RECIPE, progress=False)
    shrunk, after = (answers(network, unseen) for network in networks)
    assert relative(shrunk, after) < 0.01
    assert half[0] < 0.1  # halfway they are small already, not only after the last step
    at_once = amc_gym.compress(digits_task, plan, "none")
    assert relative(answers(digits_task.model, unseen), answers(at_once, unseen)) > 0.3
    assert [tensor.shape for tensor in tuned.parameters()] == [
        tensor.shape for tensor in at_once.parameters()
    ]
    if granularity == "weight":
        zeros = [sum(int((p == 0).sum()) for p in net.parameters()) for net in (tuned, at_once)]
        assert zeros[0] == zeros[1] > 0
    assert not same(tuned, networks[1])  # training goes on after the cut


NETWORKS = {
    "shortcuts": lambda: (bundled.load("ResNet56", "digits"), (1, 8, 8)),
    "depthwise": lambda: (models.build("MobileNetV2", "digits"), (1, 8, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_all_that_a_slim_network_lacks_is_dropped_and_nothing_else(name: str) -> None:
    network, shape = NETWORKS[name]()
    example = torch.randn(2, *shape)
    graph = trace(network.eval(), example)
    kept = tuple(unit.first(max(unit.blocks, unit.channels // 3)) for unit in graph.units)
    cut = channel_cut(network, graph, kept)
    small = cut.make(network)
    lacks = counted_params(network) - counted_params(small)
    assert sum(int(entries.sum()) for entries in cut.dropped.values()) == lacks > 0
    emptied = weight_cut(cut.dropped).make(network)
    torch.testing.assert_close(answers(emptied, example), answers(small, example))
    assert same(small, slim(network, graph, kept))


@pytest.mark.parametrize("killed_in", [1, 3])
def test_a_killed_run_goes_on_before_and_after_the_cut_to_the_same_bits(
    killed_in: int,
    plain_task: CompressionTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = amc_gym.search(plain_task, 1, progress=False)
    recipe = replace(RECIPE, averaging=0.1)
    fixed = (plain_task, plan, images(96, 7))
    call = (*fixed, recipe)
    whole = amc_gym.finetune(*call, progress=False)

    def killed(run: Run, number: int, split: Split) -> float:
        if number == killed_in:
            raise KeyboardInterrupt
        return epoch(run, number, split)

    epoch, checkpoint = Run.epoch, tmp_path / "state.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Run, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            amc_gym.finetune(*call, checkpoint=checkpoint, progress=False)
    assert same(amc_gym.finetune(*call, checkpoint=checkpoint, progress=False), whole)
    for other in (replace(recipe, shrink=1), replace(recipe, shrink=0)):
        with pytest.raises(ValueError, match="differs in shrink"):
            amc_gym.finetune(*fixed, other, checkpoint=checkpoint, progress=False)


class Normed(nn.Module):
    """A network whose layer norm takes statistics over channels that are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(48, 12), nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(inputs.flatten(1)))))


def test_a_cut_that_changes_the_outputs_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    network, split = Normed(), images(64, 1, size=4)
    graph = trace(network.eval(), split.images[:2])
    cut = channel_cut(network, graph, tuple(unit.first(4) for unit in graph.units))
    recipe = replace(RECIPE, distillation=0.0)
    with caplog.at_level(logging.WARNING):
        train(network, split, recipe, cut=cut, progress=False)
    assert "pruning has changed the network's outputs" in caplog.text
    assert 0 < NOTHING < 1


def test_networks_that_cannot_be_shrunk_are_refused(
    digits_task: CompressionTask, plans: dict[str, CompressionPlan], training_images: Split
) -> None:
    with pytest.raises(ValueError, match="shrink=4 must be less than epochs=4"):
        replace(RECIPE, shrink=4)
    with pytest.raises(ValueError, match="shrink must be at least 0"):
        replace(RECIPE, shrink=-1)
    call = (digits_task, plans["channel"], training_images, RECIPE)
    with pytest.raises(ValueError, match="recovery='bn' repairs a pruned network"):
        amc_gym.finetune(*call, recovery="bn", progress=False)
    alone = replace(RECIPE, distillation=0.0)
    with pytest.raises(ValueError, match="needs a plan that says what to shrink"):
        train(copy.deepcopy(digits_task.model), training_images, alone, progress=False)


def test_averages_are_exponential_over_a_share_of_the_steps() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = make_average(model, replace(RECIPE, averaging=0.5), 8)
    assert average is not None
    for value in (1.0, 5.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    (weight,) = average.module.parameters()
    assert weight.item() == pytest.approx(0.75 * 1 + 0.25 * 5)
    assert make_average(model, RECIPE, 8) is None


def test_recipes_of_older_files_stay_what_they_are() -> None:
    later = {"shrink", "averaging"}
    assert not later & set(replace(RECIPE, shrink=0).described())
    assert later <= set(replace(RECIPE, averaging=0.1).described())
