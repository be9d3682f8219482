"""Resident networks: plans written into one full-width network score as built networks do."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from judging import engine, plans
from scipy.stats import spearmanr
from small import PlainStack, lively

from amc_gym import CompressionTask, Split
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.compression.pruning.batched_layers import BATCHED, BatchedConv
from amc_gym.compression.pruning.candidates import SwappedNetwork
from amc_gym.compression.pruning.full_width import SelectedWeight
from amc_gym.compression.pruning.resident import ResidentNetwork
from amc_gym.zoo.resolving import resolve

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


@pytest.mark.parametrize(
    ("name", "recovery"),
    [
        ("MobileNet", "none"),
        ("MobileNet", "reconstruct"),
        ("MobileNetV2", "none"),
        ("ResNet56", "reconstruct"),  # its shortcuts map one stream to the next
        ("VGG16", "reconstruct"),
        ("concatenating-digits-0", "reconstruct"),
    ],
)
def test_a_plan_has_the_hits_of_its_slim_network(name: str, recovery: str) -> None:
    task = resolve(name)
    slim, resident = (engine(task, each, recovery=recovery) for each in ("slim", "resident"))
    assert isinstance(resident.evaluator.network, ResidentNetwork)
    some = plans(slim, 3)
    assert resident.evaluator.many(some) == slim.evaluator.many(some)


@pytest.mark.parametrize(
    ("name", "recovery"),
    [
        ("MobileNet", "reconstruct"),
        ("ResNet56", "reconstruct"),
        ("inverted-digits-0", "none"),
        ("concatenating-digits-0", "reconstruct"),
        ("plain-digits-0", "reconstruct"),
    ],
)
def test_plans_in_one_pass_have_the_hits_of_each_by_itself(name: str, recovery: str) -> None:
    made = engine(resolve(name), "resident", recovery=recovery, reward_images=60)
    network = made.evaluator.network
    assert isinstance(network, ResidentNetwork)
    assert not network.why_single
    network.plans_per_pass = 4
    assert made.evaluation == "one resident network, up to 4 plans in a pass"
    some = plans(made, 7)  # judged in passes of four, two and one
    together = made.evaluate(some)
    assert made.evaluator.distinct == len(set(some))
    made.evaluator.forget()
    network.alone("it is compared")
    assert together == made.evaluate(some)
    assert len({found.score for found in together}) > 1


def test_a_layer_without_a_form_for_several_plans_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(BATCHED, torch.nn.Conv2d)
    task = resolve("plain-digits-0")
    made = engine(task, "resident")
    assert made.evaluator.at_once == 1
    assert re.search(r"one plan at a time: '[\w.]+', a Conv2d, has no form", made.evaluation)
    some = plans(made, 3)
    assert made.evaluate(some) == engine(task, "slim").evaluate(some)


def test_a_pass_that_mixes_plans_up_is_found_before_anything_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mixed_up(self: BatchedConv, x: torch.Tensor) -> torch.Tensor:
        return forward(self, x.roll(1, 0))

    forward = BatchedConv.forward
    monkeypatch.setattr(BatchedConv, "forward", mixed_up)
    made = engine(resolve("plain-digits-0"), "resident")
    assert "in one pass with others it computes" in made.evaluation


def test_answers_are_those_of_the_slim_network_on_500_images(digits_task: CompressionTask) -> None:
    slim, resident = (engine(digits_task, each) for each in ("auto", "resident"))
    assert isinstance(slim.evaluator.network, SwappedNetwork)  # on a processor
    shown = digits_task.test.batch(slice(500))
    assert len(shown) == 500
    for counts in plans(slim, 2):
        with torch.inference_mode():
            answers = [e.evaluator.network(counts)(shown).argmax(1) for e in (slim, resident)]
        assert torch.equal(*answers)
        assert len(answers[0].unique()) > 5  # it does not give all images one class


@pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bf16 arithmetic")
def test_bf16_ranks_plans_as_float32_does() -> None:
    task, options = resolve("plain-digits-0"), {"reward_images": 200}
    exact = engine(task, "slim", **options)
    low = engine(task, "resident", precision="bf16", **options)
    some = plans(exact, 40, least=0.1)
    scores = [[found.score for found in e.evaluator.many(some)] for e in (exact, low)]
    assert spearmanr(*scores).statistic >= 0.99


@pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bf16 arithmetic")
def test_bf16_is_taken_where_plans_score_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    task, options = resolve("plain-digits-0"), {"precision": "auto"}
    low = engine(task, "resident", **options)
    assert low.precision == "bf16"
    assert low.evaluator.distinct == 0
    assert engine(task, "slim", **options).precision == "float32"
    monkeypatch.setattr("amc_gym.engine.resident.LOST", -1.0)  # now no scores count as alike
    exact = engine(task, "resident", **options)
    assert exact.precision == "float32"
    (inputs, _), *_ = exact.evaluator.batches
    assert inputs.dtype == torch.float32


def test_images_that_are_bytes_stay_so_and_are_normalised_in_the_pass() -> None:
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(1)
    splits = [
        Split(
            torch.randint(256, (64, 3, 8, 8), dtype=torch.uint8, generator=draw),
            torch.randint(5, (64,), generator=draw),
            MEAN,
            STD,
        )
        for _ in range(3)
    ]
    task = CompressionTask(lively(PlainStack()), *splits)
    slim, resident = (engine(task, each, recovery="none") for each in ("slim", "resident"))
    (inputs, _), *_ = resident.evaluator.batches
    assert inputs.dtype == torch.uint8
    some = plans(slim, 4)
    assert resident.evaluator.many(some) == slim.evaluator.many(some)


def test_a_network_that_cannot_be_resident_says_why() -> None:
    with pytest.raises(ValueError, match=r"norm '.*' takes its .*; choose evaluation='auto' or"):
        engine(resolve("convnext-digits-0"), "resident", recovery="none")


def test_a_wrong_weight_is_found_before_anything_is_judged(
    plain_task: CompressionTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpruned(self: SelectedWeight, kept: torch.Tensor) -> torch.Tensor:
        return self._matrix.reshape(self._shape)

    monkeypatch.setattr(SelectedWeight, "__call__", unpruned)
    with pytest.raises(ValueError, match="it computes something else; choose"):
        engine(plain_task, "resident", recovery="none")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_auto_is_resident_on_a_gpu_and_gives_the_hits_of_a_processor(
    digits_task: CompressionTask,
) -> None:
    slim, resident = engine(digits_task), engine(digits_task, device="cuda", precision="auto")
    assert isinstance(resident.evaluator.network, ResidentNetwork)
    some = plans(slim, 20)
    ours, theirs = ([s.score for s in e.evaluator.many(some)] for e in (resident, slim))
    assert np.abs(np.array(ours) - theirs).max() <= 0.02
