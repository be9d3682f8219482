"""Rankings against hand-computed and brute-force ones."""

import numpy as np
import pytest
import torch

from amc_gym.compression.graph import trace
from amc_gym.compression.importance import Consumer, greedy, magnitude
from amc_gym.compression.ranking import rank
from amc_gym.compression.reconstruction import least_squares


def consumer(weight, gram=None, size=1):
    return Consumer(torch.tensor(weight, dtype=torch.float64), gram, size)


def test_magnitude_is_the_summed_weight_of_a_channel():
    one = consumer([[1.0, -1.0], [0.5, 0.0], [-3.0, 0.0]])
    assert magnitude([one]).tolist() == [2, 0, 1]
    two_pixels = consumer([[1.0], [-1.0], [0.0], [2.5]], size=2)
    assert magnitude([two_pixels]).tolist() == [1, 0]


def test_magnitudes_of_several_consumers_are_scaled_to_sum_one():
    small = consumer([[0.09], [0.01]])  # 0.9, 0.1
    large = consumer([[40.0], [60.0]])  # 0.4, 0.6
    assert magnitude([large]).tolist() == [1, 0]
    assert magnitude([small, large]).tolist() == [0, 1]


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
    assert greedy([Consumer(weight, gram, size)]).tolist() == expected


def test_greedy_without_statistics_is_magnitude():
    one = consumer([[1.0], [3.0], [2.0]])
    assert greedy([one]).tolist() == magnitude([one]).tolist()


def test_a_users_ranking_that_is_no_permutation_is_refused(plain_stack):
    graph = trace(plain_stack, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="permutation of 12 channels for unit 'second'"):
        rank(plain_stack, graph, {}, lambda consumers: np.zeros(consumers[0].channels, dtype=int))
