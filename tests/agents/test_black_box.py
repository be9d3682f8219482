"""Black-box searchers: Optuna's samplers propose whole plans."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import agents
from agents.plans import amc
from amc_gym.envs.rules import largest

NAMES = ("cma-es", "gp", "random-shares", "tpe")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
def test_plans_use_the_budget_up_and_begin_with_the_uniform_one(
    make_env: Any, name: str, action_mode: str
) -> None:
    env = make_env(action_mode=action_mode)
    history = agents.make(name, env, 0).learn(6).history
    limit = amc(env).budget.limit
    assert limit is not None
    assert all(0.9 * limit < episode.macs <= limit for episode in history)
    uniform = largest(amc(env).budget)
    assert sum(abs(a - b) for a, b in zip(history[0].channels, uniform, strict=True)) <= 2


@pytest.mark.parametrize("missing", ["optuna", "cmaes"])
def test_a_missing_library_is_named(
    make_env: Any, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"needs {missing}.*amc-gym\[agents\]"):
        agents.make("tpe", make_env(), 0)
