"""Evaluation of plans: the fast way equals building the network and running it."""

import numpy as np
import pytest
import torch

from amc_gym.compression.evaluation.batch_size import batch_size
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.compression.pruning.slim_layers import Remembered
from amc_gym.compression.recovery.reconstruction import refit
from amc_gym.compression.slim import slim
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions


def random_counts(graph, n, seed=0):
    rng = np.random.default_rng(seed)
    return [tuple(int(rng.integers(1, c + 1)) for c in graph.full) for _ in range(n)]


@pytest.mark.parametrize("importance", ["magnitude", "greedy"])
@pytest.mark.parametrize("recovery", ["none", "reconstruct"])
def test_swapped_tensors_give_the_logits_of_the_built_network(plain_task, importance, recovery):
    made = Engine(
        engines.analysis(plain_task), EngineOptions(importance=importance, recovery=recovery)
    )
    images = plain_task.reward.images
    for counts in random_counts(made.graph, 5):
        kept = made.pruning.kept(counts)
        weights = None
        if recovery == "reconstruct":
            weights = refit(plain_task.model, made.graph, engines.analysis(plain_task).grams, kept)
        built = slim(plain_task.model, made.graph, kept, weights)
        with torch.inference_mode():
            fast = made.evaluator.network(counts)(images)
            torch.testing.assert_close(fast, built(images), rtol=1e-3, atol=1e-3)


def test_the_uncompressed_plan_scores_as_the_uncompressed_network(digits_task):
    made = engines.engine(digits_task, EngineOptions())
    split = digits_task.reward
    expected = count_hits(digits_task.model, [(split.images, split.labels)])
    assert made.evaluator(made.graph.full).score == expected.accuracy("top1")


def test_a_plan_is_evaluated_once_and_order_does_not_matter(plain_task):
    made = Engine(engines.analysis(plain_task), EngineOptions())
    plans = random_counts(made.graph, 6)
    forward = [made.evaluator(counts) for counts in plans]
    assert made.evaluator.distinct == 6
    runs = []
    made.evaluator.network(made.graph.full).register_forward_hook(lambda *args: runs.append(1))
    assert [made.evaluator(counts) for counts in plans] == forward
    assert not runs
    made.evaluator.forget()
    assert [made.evaluator(counts) for counts in reversed(plans)] == forward[::-1]
    assert runs


def test_fewer_reward_images_are_the_first_ones(plain_task):
    made = Engine(engines.analysis(plain_task), EngineOptions(reward_images=10))
    hits = made.evaluator(made.graph.full)
    split = plain_task.reward
    expected = count_hits(plain_task.model, [(split.images[:10], split.labels[:10])])
    assert hits.score == expected.accuracy("top1")
    assert hits.images == 10


def test_top5_counts_the_five_best(plain_task):
    hits = count_hits(plain_task.model, [(plain_task.reward.images, plain_task.reward.labels)])
    assert hits.accuracy("top5") == 1.0  # of five classes
    assert hits.accuracy("top1") < 1.0


@pytest.mark.filterwarnings("ignore:this cpu has no bf16")
def test_bf16_runs_and_stays_close(digits_task):
    made = Engine(engines.analysis(digits_task), EngineOptions(precision="bf16", reward_images=100))
    exact = Engine(engines.analysis(digits_task), EngineOptions(reward_images=100))
    full = made.graph.full
    assert abs(made.evaluator(full).score - exact.evaluator(full).score) <= 0.02


@pytest.mark.skipif(has_bf16("cpu"), reason="this processor has bf16 arithmetic")
def test_bf16_where_it_is_slow_is_warned_of(digits_task):
    with pytest.warns(UserWarning, match="ten times as long as with precision='float32'"):
        Engine(engines.analysis(digits_task), EngineOptions(precision="bf16", reward_images=100))


def test_batches_shrink_with_the_widest_layer(digits_task, plain_task):
    small = engines.engine(plain_task, EngineOptions()).graph
    assert batch_size(small, 64) == 64
    assert 1 <= batch_size(engines.engine(digits_task, EngineOptions()).graph, 10**9) < 10**5


def test_remembered_tensors_stay_within_their_memory(monkeypatch):
    monkeypatch.setattr("amc_gym.compression.pruning.slim_layers.MEMORY", 100)
    remembered = Remembered()
    made = []

    def make(n):
        made.append(n)
        return {"weight": torch.zeros(n)}

    for n in (10, 10, 12, 10, 5):  # 40, 48 and 20 bytes
        remembered.get(("layer", (n,)), lambda n=n: make(n))
    assert made == [10, 12, 5]
    assert remembered.bytes == 88 - 48 + 20
    remembered.get(("layer", (12,)), lambda: make(12))
    assert made == [10, 12, 5, 12]
