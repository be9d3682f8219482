"""Scores over tasks and their uncertainty, against values worked out by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.comparison.report import write
from benchmarks.comparison.resampling import (
    performance_profile,
    pooled_iqm,
    probability_of_improvement,
)
from benchmarks.comparison.scores import scores_of
from benchmarks.studies.records import History, Record, Store
from benchmarks.studies.runs import BenchmarkError, Run

MakeRecord = Callable[..., Record]


@pytest.fixture
def made(record: Record) -> MakeRecord:
    """Return a function that makes a run by its best accuracy; on test images it has half of it."""

    def make(agent: str, seed: int, accuracy: float, env: str = "A", at: int = 1) -> Record:
        setting = replace(record.run.setting, env=env, episodes=10)
        return replace(
            record,
            run=Run(setting, agent, seed),
            best=replace(
                record.best,
                reward=accuracy,
                reward_accuracy=accuracy,
                test_accuracy=accuracy / 2,
            ),
            history=History([accuracy], [accuracy], [1], [1], [[1]], [1.0], [at]),
            full=replace(record.full, reward_accuracy=0.9, test_accuracy=0.5),
        )

    return make


def study(made: MakeRecord) -> list[Record]:
    """Make runs of three agents; uniform has 50 % on task A, 70 % on B, the full network 90 %."""
    records = []
    for env, zero, accuracies in (("A", 0.5, (0.6, 0.7, 0.8, 0.9)), ("B", 0.7, (0.75, 0.8))):
        records.append(made("uniform", 0, zero, env))
        records += [made("good", seed, x, env) for seed, x in enumerate(accuracies)]
        records += [made("poor", seed, x - 0.1, env) for seed, x in enumerate(accuracies)]
    return [*records, made("elsewhere", 0, 0.8, "A")]


def test_a_score_is_the_share_of_the_uniform_plans_loss_that_is_won_back(made: MakeRecord) -> None:
    scores, settings, partial = scores_of(study(made))
    assert [each.agent for each in scores] == ["good", "poor", "uniform"]
    assert [setting.env for setting in settings] == ["A", "B"]
    assert partial == ["elsewhere"]
    good, _, uniform = scores
    np.testing.assert_allclose(good.reward[0], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(good.reward[1], [0.25, 0.5])
    # On test images uniform has 25 and 35 %, the full network 50 %.
    np.testing.assert_allclose(good.test[0], [0.2, 0.4, 0.6, 0.8])
    assert uniform.reward[0].tolist() == uniform.reward[1].tolist() == [0.0]
    assert (good.runs, uniform.runs) == (6, 2)


def test_the_order_is_that_of_the_scores_shown(made: MakeRecord) -> None:
    records = [made("uniform", 0, 0.5)]
    for seed, lucky in enumerate((0.6, 0.6, 0.6, 0.9)):  # one run makes the mean better
        records += [made("steady", seed, 0.65), made("lucky", seed, lucky)]
    scores, _, _ = scores_of(records)
    assert [each.agent for each in scores] == ["steady", "lucky", "uniform"]
    assert [each.score for each in scores] == pytest.approx([0.375, 0.25, 0.0])


def test_curves_begin_where_there_is_a_reward(made: MakeRecord) -> None:
    (late, _), _, _ = scores_of([made("uniform", 0, 0.5), made("late", 0, 0.7, at=4)])
    # The fourth of 10 evaluations ends between 31 and 40 % of the budget.
    np.testing.assert_array_equal(np.isnan(late.curves[0][0]), np.arange(1, 101) <= 30)
    assert late.curves[0][0, -1] == pytest.approx(0.5)


def test_rewards_of_another_scale_have_the_same_scores(made: MakeRecord) -> None:
    records = [made("uniform", 0, 0.5), made("good", 0, 0.8)]
    (plain, *_), *_ = scores_of(records)
    relative = []
    for each in records:
        options = {**each.run.setting.options, "reward": "relative"}
        run = replace(each.run, setting=replace(each.run.setting, options=options))
        rescaled = [(value - 0.5) / 0.4 for value in each.history.accuracy]
        relative.append(replace(each, run=run, history=replace(each.history, reward=rescaled)))
    (found, *_), *_ = scores_of(relative)
    assert found.agent == plain.agent == "good"
    np.testing.assert_array_equal(found.curves[0], plain.curves[0])
    assert found.score == plain.score


def test_what_cannot_be_scored_is_refused(made: MakeRecord) -> None:
    with pytest.raises(BenchmarkError, match="has no run of 'uniform'"):
        scores_of([made("good", 0, 0.8)])
    with pytest.raises(BenchmarkError, match="loses nothing"):
        scores_of([made("uniform", 0, 0.95)])
    other = made("uniform", 0, 0.5)
    options = {**other.run.setting.options, "reward": "error-log-macs"}
    other = replace(other, run=Run(replace(other.run.setting, options=options), "uniform", 0))
    with pytest.raises(BenchmarkError, match="reward='accuracy'"):
        scores_of([other])


def test_probability_of_improvement_counts_pairs_task_by_task() -> None:
    # Task 1: of 4 pairs 3 are won, one is a tie: 0.875.  Task 2: the only pair is lost.
    one = [np.array([2.0, 3.0]), np.array([0.0])]
    other = [np.array([1.0, 2.0]), np.array([1.0])]
    assert probability_of_improvement(one, other).value == pytest.approx((0.875 + 0) / 2)
    assert probability_of_improvement(other, one).value == pytest.approx(1 - 0.4375)
    same = probability_of_improvement(one, one)
    assert same.value == 0.5


def test_a_profile_is_the_share_of_runs_above_mean_over_tasks() -> None:
    profile = performance_profile(
        [np.array([0.1, 0.5, 0.9, 1.0]), np.array([0.2])], np.array([0.0, 0.4, 0.95])
    )
    np.testing.assert_allclose(profile.value, [1, (0.75 + 0) / 2, (0.25 + 0) / 2])
    assert profile.low[0] == profile.high[0] == 1
    assert profile.low[1] < profile.value[1] < profile.high[1]


def test_seeds_are_drawn_within_tasks() -> None:
    # Tasks differ, seeds hardly: drawn across tasks, the interval would be wide.
    far = [np.array([0.0, 0.01, 0.02, 0.03]), np.array([1.0, 1.01, 1.02, 1.03])]
    interval = pooled_iqm(far)
    assert interval.value == pytest.approx(np.mean([0.02, 0.03, 1.0, 1.01]))
    assert interval.high - interval.low < 0.05
    alone = pooled_iqm([np.array([0.3]), np.array([0.5])])
    assert alone.value == pytest.approx(0.4)
    assert np.isnan([alone.low, alone.high]).all()


def test_the_interval_has_its_width(made: MakeRecord) -> None:
    """Compare the interval of a mean of 100 runs with 1.96 standard errors on each side."""
    rng = np.random.default_rng(1)
    samples = rng.normal(size=100)
    interval = probability_of_improvement([samples], [np.zeros(1)])
    # The probability is about one half, so its standard error is 0.05.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.05, rel=0.15)


def test_the_report_shows_every_agent(made: MakeRecord, tmp_path: Path, console: Console) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for record in study(made):
        folder = folders[record.run.setting.env == "B"]
        folder.mkdir(exist_ok=True)
        Store(folder).save(record)
    out = tmp_path / "out"
    arguments = ["compare", *map(str, folders), "--out", str(out), "--against", "poor"]
    assert main(arguments) == 0
    text = (out / "comparison.md").read_text()
    assert "beats poor, %" in text
    assert "Not on every task, and so left out: elsewhere." in text
    rows = list(csv.DictReader((out / "comparison.csv").read_text().splitlines()))
    assert [row["agent"] for row in rows] == ["good", "poor", "uniform"]
    assert float(rows[0]["score"]) == pytest.approx(np.mean([0.25, 0.5, 0.5, 0.75]))
    assert rows[1]["improvement"] == rows[2]["score_low"] == ""
    for name in ("comparison.png", "pairs.png"):
        assert (out / name).stat().st_size > 2_000
    lines = write(folders, out, "nobody", console)
    assert all(line.improvement is None for line in lines)


def test_folders_that_hold_nothing_are_named(tmp_path: Path, capsys: object) -> None:
    assert main(["compare", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
