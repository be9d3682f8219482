"""Correlations of a search's signals with fine-tuned accuracy."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from amc_gym.zoo.resolving import resolve
from benchmarks.search_signal.__main__ import main
from benchmarks.search_signal.agreement import agreement
from benchmarks.search_signal.judgements import Judgement, Signal, work
from benchmarks.search_signal.plans import FILE, draw, drawn
from benchmarks.studies.runs import BenchmarkError


def test_plans_are_spread_over_the_budgets_and_repeat() -> None:
    task = resolve("MobileNet")
    plans = draw(task, 6, (0.3, 0.8))
    assert [one.plan.counts for one in plans] == [
        one.plan.counts for one in draw(task, 6, (0.3, 0.8))
    ]
    for one, ratio in zip(plans, np.linspace(0.3, 0.8, 6), strict=True):
        assert ratio - 0.02 < one.macs_ratio <= ratio
    assert len({one.plan.counts for one in plans}) == 6
    assert plans[0].plan.counts != draw(task, 6, (0.3, 0.8), seed=1)[0].plan.counts


def test_plans_that_were_drawn_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, path = resolve("MobileNet"), tmp_path / FILE
    first = drawn(path, task, 6, (0.3, 0.8))
    assert [one.plan.counts for one in first] == [
        one.plan.counts for one in draw(task, 6, (0.3, 0.8))
    ]
    # Another machine with other versions reads the same plans.
    monkeypatch.setattr("amc_gym.envs.finished.versions", lambda: {"torch": "1.0"})
    assert draw(task, 6, (0.3, 0.8))[0].plan.versions == {"torch": "1.0"}
    assert drawn(path, task, 6, (0.3, 0.8)) == first
    # Files of earlier versions, which held more, are read as well.
    content = {"task": task.fingerprint, "plans": 6, "ratios": [0.3, 0.8], "seed": 0}
    content["drawn"] = [vars(one) | {"plan": one.plan.to_dict()} for one in first]
    path.unlink()
    path.with_suffix(".json").write_text(json.dumps(content))
    assert drawn(path, task, 6, (0.3, 0.8)) == first
    assert not path.exists()
    with pytest.raises(BenchmarkError, match=r"differs in plans, seed\. Name another --out"):
        drawn(path, task, 7, (0.3, 0.8), seed=1)


def test_coefficients_are_scipys() -> None:
    rng = np.random.default_rng(0)
    tuned = np.round(rng.random(40), 2)  # rounding makes ties
    signal = tuned + 0.3 * rng.random(40)
    found = agreement(signal.tolist(), tuned.tolist(), rng.random(40).tolist())
    assert found.pearson.value == pytest.approx(stats.pearsonr(signal, tuned).statistic)
    assert found.spearman.value == pytest.approx(stats.spearmanr(signal, tuned).statistic)
    best = np.argsort(-tuned, kind="stable")[:20]
    upper = stats.spearmanr(signal[best], tuned[best]).statistic
    assert found.upper.value == pytest.approx(upper)
    assert found.upper.plans == 20
    for one in (found.pearson, found.spearman, found.upper, found.beyond):
        assert -1 <= one.low < one.value < one.high <= 1
    assert found.upper.high - found.upper.low > found.spearman.high - found.spearman.low


def test_beyond_size_is_what_is_left_of_the_ranks() -> None:
    """Compare with a correlation of residuals, after ranks are regressed on those of the size."""
    rng = np.random.default_rng(2)
    size = rng.random(30)
    tuned, signal = size + 0.3 * rng.random(30), size + 0.3 * rng.random(30)
    found = agreement(signal.tolist(), tuned.tolist(), size.tolist())
    z, x, y = (stats.rankdata(side) for side in (size, signal, tuned))
    left = [side - np.polyval(np.polyfit(z, side, 1), z) for side in (x, y)]
    assert found.beyond.value == pytest.approx(stats.pearsonr(*left).statistic)
    assert found.spearman.value > 0.7 > abs(found.beyond.value)
    alone = agreement(size.tolist(), tuned.tolist(), size.tolist())
    assert alone.beyond.value == 0


def test_interval_covers_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw 60 samples of known correlation: most of their intervals hold it."""
    monkeypatch.setattr("benchmarks.search_signal.agreement.RESAMPLES", 999)
    rng, truth = np.random.default_rng(1), 0.6
    covariance = [[1, truth], [truth, 1]]
    covered = 0
    for _ in range(60):
        x, y = rng.multivariate_normal([0, 0], covariance, size=40).T
        found = agreement(x.tolist(), y.tolist(), rng.random(40).tolist()).pearson
        covered += found.low <= truth <= found.high
    assert covered >= 50


def test_a_constant_signal_predicts_nothing() -> None:
    found = agreement([0.1] * 8, np.linspace(0, 1, 8).tolist(), np.arange(8).tolist())
    assert found.pearson.value == found.spearman.value == found.beyond.value == 0


def test_few_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 6 plans"):
        agreement([0.1] * 5, [0.2] * 5, [0.3] * 5)


def test_judgements_go_on_where_they_stopped(tmp_path: Path) -> None:
    drawn = draw(resolve("MobileNet"), 3, (0.4, 0.6))
    plans = tuple(one.plan for one in drawn)
    job = Judgement(Signal("magnitude", "reconstruct"), plans, tmp_path)
    whole = work(job, lambda plans: None)
    assert whole == [one.plan.measured.accuracy for one in drawn]
    job.path.write_text(json.dumps([0.125]))
    told: list[int] = []
    assert work(job, told.append) == [0.125, *whole[1:]]
    assert told == [2, 3]
    job.path.write_text("{}")
    with pytest.raises(ValueError, match="delete it"):
        work(job, lambda plans: None)


@pytest.mark.thorough
def test_a_study_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["--out", str(tmp_path), "--network", "MobileNet", "--dataset", "digits"]
    arguments += ["--plans", "6", "--ratios", "0.15", "0.5", "--workers", "2"]
    arguments += ["--importances", "magnitude", "--recoveries", "none", "reconstruct"]
    arguments += ["--recipe.epochs", "1", "--recipe.batch-size", "64", "--recipe.no-flip"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 random plans" in said
    assert "share of the MACs alone" in said
    with (tmp_path / "signal.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {"magnitude, none", "magnitude, reconstruct", "fine-tuned"} <= rows[0].keys()
    assert (tmp_path / "signal.png").stat().st_size > 2_000
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert len(written) == 2 + 2 * 6  # two of judgements; an outcome and a plan for each of six
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plans", "5"], "--plans must be at least 6"),
        (["--ratios", "0.5", "0.3"], "--ratios must ascend"),
        (["--network", "Plain19"], "Plain20"),
    ],
)
def test_bad_arguments(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
