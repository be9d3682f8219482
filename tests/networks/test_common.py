"""Common networks: each is pruned, stays whole in part or is refused as required."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import common
from networks.trial import check, check_onnx, searched, split, task_of, with_statistics

import amc_gym
from amc_gym.compression.plan import PlanError
from amc_gym.engine.cache import engines

WHOLE = {
    "group-norm": {"b"},
    "layer-norm": {"b"},
    "weight-norm": {"a"},
    "partial-conv": {"a.0"},
    "tied": set(),
    "own-kernel": {"a.0"},
}
"""Layers that stay whole, besides the last one, by network; others have none."""

OUTPUT = "the network's output"
PRUNED = common.RIGHT | common.FIXED


@pytest.mark.parametrize("name", PRUNED)
def test_a_network_is_pruned_as_required(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = task_of(with_statistics(PRUNED[name]()))
    plan, small = check(task)
    fixed = engines.analysis(task).graph.fixed
    assert WHOLE.get(name, set()) == {layer for layer, why in fixed.items() if why != OUTPUT}
    check_onnx(small, task, tmp_path)

    recipe = amc_gym.Recipe(epochs=1, batch_size=32, learning_rate=0.01, schedule="cosine")
    tuned = amc_gym.finetune(task, plan, split(64, 5), recipe, progress=False)
    before = small.state_dict()
    moved = [n for n, tensor in tuned.state_dict().items() if not torch.equal(tensor, before[n])]
    assert len(moved) > len(before) / 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "view-by-number",
            r"view .*common\.py:\d+\) holds a number of channels",
        ),
        ("nan-weight", r"head\.weight.*NaN|NaN.*head\.weight"),
        ("scripted", r"script"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:")
def test_networks_that_cannot_be_pruned_are_refused_by_name(name: str, says: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=says):
        searched(task_of(with_statistics(common.REFUSED[name]())))


def test_twins_are_two_tasks() -> None:
    one, two = (task_of(network.eval()) for network in common.twins())
    assert one.fingerprints["model"] == two.fingerprints["model"]
    assert one != two
    assert one.fingerprint != two.fingerprint
    plans = [searched(made)[0].plan for made in (one, two)]
    for made, plan in zip((one, two), plans, strict=True):
        assert amc_gym.compress(made, plan).act is made.model.act
        assert amc_gym.validate(made, plan).ok
    with pytest.raises(PlanError, match="another logits"):
        amc_gym.compress(two, plans[0])
