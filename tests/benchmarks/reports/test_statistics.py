"""Statistics of seeds, against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.reports.statistics import best_so_far, estimate, rows_of
from benchmarks.studies.records import History, Record
from benchmarks.studies.runs import Run


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    # 8 values: two go at each end, (3 + 4 + 5 + 6) / 4 stays.
    assert estimate([100, 1, 3, 4, 5, 6, 2, -100]).value == pytest.approx(3.5)
    # 3 values: no whole quarter, the plain mean.
    assert estimate([1, 2, 6]).value == pytest.approx(3)


def test_the_interval_of_two_values_holds_both() -> None:
    # Resamples are (a, a), (a, b), (b, a), (b, b): each end has a quarter of the mass.
    interval = estimate([1, 3])
    assert (interval.low, interval.value, interval.high) == (1, 2, 3)


def test_the_interval_narrows_with_the_seeds_and_shifts_with_the_values() -> None:
    few, many = np.tile([0.0, 1.0, 2.0, 3.0], 2), np.tile([0.0, 1.0, 2.0, 3.0], 16)
    narrow, wide, shifted = estimate(many), estimate(few), estimate(few + 10)
    assert wide.low < narrow.low < 1.5 < narrow.high < wide.high
    assert shifted.low == pytest.approx(wide.low + 10)
    # Normal approximation: the deviation of the mean of the middle half is about 0.19 here.
    assert narrow.high - narrow.low == pytest.approx(4 * 0.19, abs=0.25)


def test_equal_values_have_an_interval_of_no_width() -> None:
    interval = estimate([0.9, 0.9, 0.9])
    assert interval.low == interval.high == pytest.approx(0.9)


def test_one_seed_has_no_interval() -> None:
    alone = estimate([0.9])
    assert alone.value == 0.9
    assert np.isnan([alone.low, alone.high]).all()


def test_curves_are_estimated_point_by_point() -> None:
    curves = np.array([[0.0, 1.0, 5.0], [0.0, 3.0, 5.0]])
    together = estimate(curves)
    assert together.value.tolist() == [0, 2, 5]
    assert together.low.tolist() == [0, 1, 5]
    assert together.high.tolist() == [0, 3, 5]


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        estimate([])


def history(rewards: list[float], evaluation: list[int] | None = None) -> History:
    n = len(rewards)
    return History(rewards, rewards, [1] * n, [1] * n, [[1]] * n, [1.0] * n, evaluation or [])


def test_best_so_far_rises_and_stays() -> None:
    assert best_so_far(history([1, 3, 2]), 5).tolist() == [1, 3, 3, 3, 3]
    assert best_so_far(history([-2, -3, -1]), 3).tolist() == [-2, -2, -1]


def test_evaluations_between_episodes_count_in_curves() -> None:
    best = best_so_far(history([1, 3], [3, 5]), 6)
    np.testing.assert_array_equal(best, [np.nan, np.nan, 1, 1, 3, 3])
    together = estimate(np.stack([best, best + 2]))
    np.testing.assert_array_equal(together.value, [np.nan, np.nan, 2, 2, 4, 4])
    np.testing.assert_array_equal(together.low, best)


def test_rows_gather_the_seeds_of_each_agent(record: Record) -> None:
    def of(agent: str, seed: int, reward: float) -> Record:
        best = replace(record.best, reward=reward, test_accuracy=reward / 2)
        run = Run(record.run.setting, agent, seed)
        return replace(record, run=run, best=best, seconds=10.0 + seed, environment_seconds=8.0)

    rows = rows_of([of("a", 1, 0.6), of("b", 0, 0.9), of("a", 0, 0.2), of("a", 2, 0.4)])
    assert [(row.agent, row.seeds) for row in rows] == [("b", 1), ("a", 3)]  # best first
    row = rows[1]
    assert row.reward.value == pytest.approx(0.4)
    assert row.test_accuracy.value == pytest.approx(0.2)
    assert (row.best.run.seed, row.seconds, row.agent_seconds) == (1, 11.0, 3.0)
