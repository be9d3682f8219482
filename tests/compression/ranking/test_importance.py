"""Rankings of channels, against rankings by hand and by exhaustive search."""

import copy

import numpy as np
import pytest
import torch

from amc_gym.compression.ranking.importance import Consumer, UnitView, bn_scale, greedy, magnitude
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery.reconstruction import least_squares
from amc_gym.compression.recovery.statistics import saliencies
from amc_gym.compression.tracing import trace
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions


def consumer(weight, gram=None, size=1):
    return Consumer(torch.tensor(weight, dtype=torch.float64), gram, size)


def test_magnitude_is_the_summed_weight_of_a_channel():
    one = consumer([[1.0, -1.0], [0.5, 0.0], [-3.0, 0.0]])
    assert magnitude(UnitView([one])).tolist() == [2, 0, 1]
    two_pixels = consumer([[1.0], [-1.0], [0.0], [2.5]], size=2)
    assert magnitude(UnitView([two_pixels])).tolist() == [1, 0]


def test_magnitudes_of_several_consumers_are_scaled_to_sum_one():
    small = consumer([[0.09], [0.01]])  # 0.9, 0.1
    large = consumer([[40.0], [60.0]])  # 0.4, 0.6
    assert magnitude(UnitView([large])).tolist() == [1, 0]
    assert magnitude(UnitView([small, large])).tolist() == [0, 1]


@pytest.mark.parametrize("size", [1, 3])
def test_greedy_picks_what_an_exhaustive_search_for_the_next_channel_picks(size):
    rng = np.random.default_rng(size)
    channels = 5
    rows = torch.from_numpy(rng.normal(size=(200, 4)) @ rng.normal(size=(4, channels * size)))
    rows = rows + 0.1 * torch.from_numpy(rng.normal(size=rows.shape))
    weight = torch.from_numpy(rng.normal(size=(channels * size, 3)))
    gram = rows.T @ rows

    def error(chosen):
        columns = torch.tensor([c * size + j for c in sorted(chosen) for j in range(size)])
        fitted = least_squares(gram, weight, columns, ridge=1e-6)
        return float((rows[:, columns] @ fitted - rows @ weight).square().sum())

    expected: list[int] = []
    while len(expected) < channels:
        left = [c for c in range(channels) if c not in expected]
        expected.append(min(left, key=lambda c: error([*expected, c])))
    assert greedy(UnitView([Consumer(weight, gram, size)])).tolist() == expected


def test_greedy_without_statistics_is_magnitude():
    one = consumer([[1.0], [3.0], [2.0]])
    assert greedy(UnitView([one])).tolist() == magnitude(UnitView([one])).tolist()


def test_a_users_ranking_that_is_no_permutation_is_refused(plain_stack):
    graph = trace(plain_stack, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="permutation of 12 channels for unit 'second'"):
        rank(plain_stack, graph, {}, lambda unit: np.zeros(unit.channels, dtype=int))


def test_bn_scale_adds_the_shares_of_each_norm_and_falls_back_to_magnitude():
    weights = consumer([[1.0], [3.0], [2.0]])
    scales = [torch.tensor([0.1, 0.2, 0.7]), torch.tensor([60.0, 30.0, 10.0])]
    assert bn_scale(UnitView([weights], scales)).tolist() == [2, 0, 1]
    assert bn_scale(UnitView([weights])).tolist() == [1, 2, 0]


def test_saliency_is_the_squared_derivative_by_a_gate_on_every_reader(plain_task):
    """Compare with finite differences of the loss when a channel's readers are scaled."""
    model = copy.deepcopy(plain_task.model).double()
    graph = trace(plain_task.model, plain_task.example)
    split = plain_task.calibration
    images, labels = split.images[:6].double(), split.labels[:6]
    found = saliencies(model, graph, [(images[:4], labels[:4]), (images[4:], labels[4:])])

    def losses(name: str, positions: list[int], scale: float) -> torch.Tensor:
        factor = torch.ones(len(graph.layers[name].inputs), dtype=torch.float64)
        factor[positions] = scale
        scaled = copy.deepcopy(model)
        weight = scaled.get_submodule(name).weight.data
        weight *= factor.reshape(1, -1, *[1] * (weight.dim() - 2))
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(scaled(images), labels, reduction="none")

    h = 1e-5
    for unit, name, channel, positions in ((0, "second", 3, [3]), (2, "hidden", 2, [8, 9, 10, 11])):
        slope = (losses(name, positions, 1 + h) - losses(name, positions, 1 - h)) / (2 * h)
        assert found[unit][channel] == pytest.approx(float(slope.square().mean()), rel=1e-4)


def test_a_users_function_sees_weights_scales_grams_and_saliency(plain_task):
    seen = []

    def by_first_weight(unit: UnitView) -> np.ndarray:
        seen.append(unit)
        return np.arange(unit.channels)[::-1]

    made = Engine(
        engines.analysis(plain_task), EngineOptions(importance=by_first_weight, recovery="none")
    )
    assert made.pruning.kept([3] * 4)[0].tolist() == [9, 10, 11]
    assert [len(unit.norm_scales) for unit in seen] == [2, 0, 0, 1]
    assert all(unit.saliency is not None for unit in seen)
    assert all(unit.consumers[0].gram is not None for unit in seen)
