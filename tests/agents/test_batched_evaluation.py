"""Batched evaluation: a searcher's next plans are evaluated together if it knows them already."""

from __future__ import annotations

from typing import Any

import pytest

import agents
from agents.plans import amc
from amc_gym.compression.evaluation.evaluator import Evaluator


@pytest.mark.parametrize("name", ["cma-es", "evolution", "netadapt", "random-shares"])
def test_a_search_is_the_same_bit_for_bit(
    make_env: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories, together, evaluations = [], [], 40
    plain = Evaluator._evaluate

    def evaluate(self: Evaluator, keys: Any) -> Any:
        together.append(len(keys))
        return plain(self, keys)

    monkeypatch.setattr(Evaluator, "_evaluate", evaluate)
    for at_once in (1, 5):
        monkeypatch.setattr(Evaluator, "at_once", at_once)
        env = make_env(reward_images=50)
        evaluator = amc(env).engine.evaluator
        evaluator.forget()
        together.clear()
        told: list[int] = []
        result = agents.make(name, env, 3).learn(evaluations, on_evaluation=told.append)
        assert max(together) == at_once
        assert told == list(range(1, result.evaluations + 1))
        assert sum(together) == evaluator.distinct == result.distinct
        histories.append([(e.reward, e.channels, e.evaluation) for e in result.history])
    assert histories[0] == histories[1]


def test_no_more_is_evaluated_ahead_than_the_budget_has(
    make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluator, "at_once", 8)
    env = make_env(reward_images=50)
    evaluator = amc(env).engine.evaluator
    evaluator.forget()
    agent = agents.make("random-shares", env, 0)
    agent.recorder.start(budget=3)
    with pytest.raises(agents.BudgetSpent):
        agent.learner.learn(20)  # type: ignore[attr-defined]
    assert evaluator.distinct == agent.recorder.evaluations == 3
