"""Learning from plans of some networks, and trials on others, from end to end on two contexts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amc_gym.suites.context import Context
from amc_gym.suites.suite import Suite
from benchmarks.transfer import logs, table, trials
from benchmarks.transfer.training import fit


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(
        "two", [Context("MobileNet", 0.2, group="x"), Context("MobileNet", 0.3, group="x")]
    )


@pytest.fixture(scope="module")
def known(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> list[logs.Log]:
    folder = tmp_path_factory.mktemp("transfer") / "logs"
    logs.write(suite, folder, 12)
    (path,) = folder.iterdir()
    before = path.stat().st_mtime_ns
    logs.write(suite, folder, 12)
    assert path.stat().st_mtime_ns == before
    return list(logs.read(folder))


def test_plans_come_with_relative_rewards(known: list[logs.Log], suite: Suite) -> None:
    assert [len(log.rewards) for log in known] == [12, 12]
    problem = logs.env_of(suite.contexts[0]).problem
    np.testing.assert_allclose(known[0].rewards[0], 0, atol=1e-6)  # uniform
    (least,) = logs.relative(problem, np.array([problem.allocation.least_error]))
    assert known[0].rewards[1] == pytest.approx(least)


def test_an_ensemble_learns_them(known: list[logs.Log]) -> None:
    net = fit(known, 0, epochs=60)
    import torch

    with torch.inference_mode():
        answers = [net(torch.from_numpy(log.rows)).numpy() for log in known]
    found = np.corrcoef(np.concatenate(answers), np.concatenate([x.rewards for x in known]))[0, 1]
    assert found > 0.8


def test_the_middle_budgets_are_chosen_first() -> None:
    contexts = [Context("MobileNet", ratio) for ratio in (0.2, 0.3, 0.4)] + [Context("VGG16", 0.2)]
    assert trials.some(contexts, 1) == [contexts[1], contexts[3]]
    assert trials.some(contexts, None) == contexts


def test_trials_go_on_where_they_were(suite: Suite, tmp_path: Path) -> None:
    file = tmp_path / "trials.parquet"
    trials.run(suite.contexts[:1], {"uniform": 1, "error-allocation": 4}, 2, file)
    first = trials.load(file)
    trials.run(suite.contexts, {"uniform": 1, "error-allocation": 4}, 2, file)
    rows = trials.load(file)
    assert rows[:3] == first
    assert len(rows) == 6
    assert all(row["after 1"] == 0 for row in rows if row["agent"] == "uniform")
    lines = table.made(rows, "x")
    assert lines[0].startswith("| best relative reward after | 1 | 4 |")
    assert lines[2].startswith("| error-allocation |")
    assert lines[3].startswith("| uniform | 0.00 [0.00, 0.00] |")
