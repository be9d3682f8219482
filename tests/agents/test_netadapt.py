"""NetAdapt: its rounds worked out by hand, and all its evaluations count."""

from __future__ import annotations

from typing import Any

import pytest

import agents
from agents.netadapt import NetAdapt
from agents.plans import amc

UNITS = 14


def learner(env: Any) -> NetAdapt:
    made = agents.make("netadapt", env, 0).learner
    assert isinstance(made, NetAdapt)
    return made


def test_candidates_reach_the_target_by_one_unit_and_take_no_more(make_env: Any) -> None:
    adapt = learner(make_env())
    full, cost = tuple(adapt.budget.channels), adapt.cost
    target = round(0.97 * cost.full)
    candidates = list(adapt.candidates(full, target))
    assert len(candidates) == UNITS
    for unit, candidate in enumerate(candidates):
        changed = [u for u in range(UNITS) if candidate[u] != full[u]]
        assert changed == [unit]
        choices = adapt.budget.admissible[unit]
        if cost.total(candidate) <= target:
            more = choices[choices.index(candidate[unit]) + 1]
            assert cost.total((*candidate[:unit], more, *candidate[unit + 1 :])) > target
        else:
            assert candidate[unit] == choices[0]


def test_a_round_takes_the_most_accurate_candidate(make_env: Any) -> None:
    env = make_env(weights="bundled", recovery="reconstruct", reward_images=100)
    adapt = learner(env)
    half = adapt.budget.scaled([1.0] * UNITS)
    target = round(0.95 * adapt.cost.total(half))
    chosen, evaluated = adapt.round(half, target, 1000)
    reaching = [c for c in adapt.candidates(half, target) if adapt.cost.total(c) <= target]
    evaluator = amc(env).engine.evaluator
    accuracies = [evaluator(each).score for each in reaching]
    assert evaluated == len(reaching) > 1
    assert len(set(accuracies)) > 1
    assert evaluator(chosen).score == max(accuracies)
    assert adapt.round(chosen, target, 1000) == (chosen, 0)


@pytest.mark.parametrize("episodes", [15, 40, 100])
def test_evaluations_on_the_side_count_and_stay_within_the_budget(
    episodes: int, make_env: Any
) -> None:
    env, told = make_env(), []
    result = agents.make("netadapt", env, 0).learn(episodes, on_evaluation=told.append)
    (episode,) = result.history
    assert UNITS < result.evaluations <= episodes
    assert result.evaluations >= 0.6 * episodes
    assert told == list(range(1, result.evaluations + 1))
    assert episode.evaluation == result.evaluations
    assert result.distinct > 10
    limit = amc(env).budget.limit
    assert limit is not None
    assert 0.9 * limit < episode.macs <= limit


def test_it_beats_the_uniform_plan(make_env: Any) -> None:
    env = make_env(weights="bundled", recovery="reconstruct", reward_images=400)
    adapted = agents.make("netadapt", env, 0).learn(100).best_episode.accuracy
    uniform = agents.make("uniform", env, 0).learn(1).best_episode.accuracy
    assert adapted > uniform


def test_without_a_budget_every_round_is_a_plan(make_env: Any) -> None:
    env = make_env(preserve_ratio=None, reward="error-log-macs")
    result = agents.make("netadapt", env, 0).learn(60)
    macs = [episode.macs for episode in result.history]
    assert len(macs) == 4
    assert macs == sorted(macs, reverse=True)
    assert len(set(macs)) == 4


def test_it_is_told_when_nothing_counts_its_evaluations(make_env: Any) -> None:
    with pytest.raises(TypeError, match=r"agents\.make"):
        NetAdapt(make_env(), 0)
