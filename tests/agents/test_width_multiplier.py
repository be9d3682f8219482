"""Width multipliers: all widths times one factor, rounded as MobileNet's code does."""

from __future__ import annotations

from typing import Any

import pytest

import agents
from agents.plans import amc
from agents.width_multiplier import divisor, rounded, widths
from amc_gym.envs.budget import Budget


@pytest.mark.parametrize(
    ("width", "expected"),
    [(24, 24), (23, 24), (20, 24), (19.9, 24), (17.7, 16), (17.8, 24), (8.8, 8), (9, 16), (1, 8)],
)
def test_widths_are_rounded_as_mobilenets_code_rounds_them(width: float, expected: int) -> None:
    # The nearest multiple of 19.9 is 16, which is less than nine tenths of it: so it becomes 24.
    assert rounded(width, 8) == expected


def test_rounding_never_falls_with_the_width() -> None:
    for by in (1, 2, 4, 8):
        counts = [rounded(w / 10, by) for w in range(1, 3000)]
        assert counts == sorted(counts)


def test_narrow_networks_are_rounded_finely() -> None:
    assert [divisor((c, 512)) for c in (3, 8, 16, 31, 32, 64)] == [1, 2, 4, 4, 8, 8]


def test_the_widest_network_that_fits(make_env: Any) -> None:
    env = make_env()
    budget = amc(env).budget
    counts = agents.make("width-multiplier", env, 0).learn(3).best_episode.channels
    assert all(count % 4 == 0 for count in counts)  # its narrowest unit has 16 channels
    multiplier = max(m / 1000 for m in range(1001) if budget.admits(widths(budget, m / 1000)))
    assert counts == widths(budget, multiplier)


def test_without_a_budget_it_is_the_full_network(make_env: Any) -> None:
    env = make_env(preserve_ratio=None, reward="error-log-macs")
    result = agents.make("width-multiplier", env, 0).learn(1)
    assert result.best_episode.channels == amc(env).budget.channels


def test_a_budget_below_the_least_round_numbers_is_kept() -> None:
    budget = Budget(sum, (16, 16), preserve_ratio=0.19, max_sparsity=[0.85] * 2, steps=[1] * 2)
    assert not budget.admits(widths(budget, 0.0))


def test_single_weights_have_no_width(make_env: Any) -> None:
    with pytest.raises(ValueError, match="prunes channels"):
        agents.make("width-multiplier", make_env(granularity="weight"), 0)
