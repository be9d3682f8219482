"""Keys of runs: they hold everything that decides an outcome, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_learners import Guess
from small_study import ENV, KWARGS

import agents
from benchmarks.studies.execution import execute, setting_of
from benchmarks.studies.records import Record
from benchmarks.studies.runs import BenchmarkError, Run, Setting, runs_of


@pytest.mark.parametrize(
    "kwargs",
    [
        {"preserve_ratio": 0.5},
        {"reward_images": 21},
        {"reward": "error"},
        {"action_mode": "feasible"},
    ],
)
def test_other_options_have_another_key(setting: Setting, kwargs: dict) -> None:
    other = setting_of(ENV, KWARGS | kwargs, episodes=3)
    assert Run(other, "guess", 0).name != Run(setting, "guess", 0).name
    assert other != setting


def test_defaults_spelt_out_have_the_same_key(setting: Setting) -> None:
    spelt = {"preserve_ratio": 0.2, "channel_multiple": 1, "action_mode": "clamp"}
    assert setting_of(ENV, KWARGS | spelt, episodes=3) == setting


def test_agent_seed_budget_and_task_are_part_of_the_key(setting: Setting) -> None:
    names = {
        Run(setting, "guess", 0).name,
        Run(setting, "guess", 1).name,
        Run(setting, "crash", 0).name,
        Run(replace(setting, episodes=4), "guess", 0).name,
        Run(replace(setting, task="0" * 64), "guess", 0).name,
        Run(replace(setting, env="AMC-Other-v0"), "guess", 0).name,
    }
    assert len(names) == 6
    assert Run(replace(setting, kwargs={}, source={}), "guess", 0) == Run(setting, "guess", 0)


def test_names_are_file_names(setting: Setting) -> None:
    assert Run(setting, "my/agent 2", 0).name.startswith("my_agent_2-seed0-")


def test_rules_run_once(setting: Setting) -> None:
    runs = [(run.agent, run.seed) for run in runs_of(setting, ["guess", "uniform"], 3)]
    assert runs == [("guess", 0), ("uniform", 0), ("guess", 1), ("guess", 2)]


def test_a_rule_of_the_users_own_runs_once_too(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.registry, "FACTORIES", {})
    for name, facts in {
        "mine": {"kind": "rule"},
        "dice": {"kind": "rule", "deterministic": False},
        "grid": {"kind": "searcher", "deterministic": True},
    }.items():
        agents.register(name, **facts)(Guess)
    runs = runs_of(setting, ["mine", "dice", "grid"], 2)
    assert [(run.agent, run.seed) for run in runs] == [
        ("mine", 0),
        ("dice", 0),
        ("grid", 0),
        ("dice", 1),
    ]


def test_a_changed_task_is_not_searched(setting: Setting) -> None:
    with pytest.raises(BenchmarkError, match="have changed"):
        execute(Run(replace(setting, task="0" * 64), "guess", 0))


def test_a_record_says_how_good_the_plan_is(record: Record) -> None:
    assert record.evaluations == len(record.history.reward) == record.run.setting.episodes
    assert record.best.reward == max(record.history.reward)
    assert record.best.macs_ratio <= 0.2
    assert record.best.plan.measured.accuracy == record.best.reward_accuracy
    assert list(record.best.kept.values()) in record.history.channels
    assert (record.full.reward_images, record.full.test_images) == (20, 500)
    assert 0 <= record.best.test_accuracy <= 1
    # A fraction of the 500 test images, not of the 20 that the search saw.
    assert (record.best.test_accuracy * 500) == pytest.approx(
        round(record.best.test_accuracy * 500)
    )
    assert record.environment_seconds <= record.seconds
    assert {"cpu", "cores", "system"} <= set(record.machine)
    assert {"torch", "stable-baselines3"} <= set(record.versions)
