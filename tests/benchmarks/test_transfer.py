"""Transfer: learning from some networks and trials on others, from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from small_study import InProcess

from agents.amc_policy import WEIGHTS, ensemble
from agents.plan_value import predicted_rewards
from agents.policy_loaders import declared
from amc_gym.suites.context import Context
from amc_gym.suites.suite import Suite
from benchmarks.__main__ import main
from benchmarks.reports.statistics import iqm
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer import (
    evaluations,
    intervals,
    learners,
    logs,
    policies,
    rows,
    table,
    training,
    trials,
)
from benchmarks.transfer.rows import Row
from benchmarks.transfer.summary import Summary
from benchmarks.transfer.training import fit

CONTEXTS = [Context("MobileNet", ratio, group="x") for ratio in (0.2, 0.3)]


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite("two", CONTEXTS)


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
    np.testing.assert_allclose(known[0].rewards[0], 0, atol=1e-6)  # the uniform plan
    (least,) = logs.relative(problem, np.array([problem.allocation.least_error]))
    assert known[0].rewards[1] == pytest.approx(least)


def test_each_network_is_a_job(tmp_path: Path, console: Console) -> None:
    folder, executor = tmp_path / "logs", InProcess(evaluations.work)
    suite = tmp_path / "one.toml"
    suite.write_text(
        'format = 1\nname = "one"\nsummary = "One."\n[[networks]]\nnetwork = "vgg-digits-0"\n'
        "preserve_ratios = [0.5]\n"
    )
    jobs = evaluations.jobs_of(str(suite), 3, folder)
    assert [(job.network, job.steps) for job in jobs] == [("vgg-digits-0", 3)]
    assert evaluations.run(jobs, executor, console)
    (log,) = logs.read(folder)
    assert (log.network, len(log.rewards)) == ("vgg-digits-0", 3)
    assert not evaluations.jobs_of(str(suite), 3, folder)


def test_an_ensemble_learns_rewards_of_plans(known: list[logs.Log]) -> None:
    net = fit(known, 0, epochs=60)
    answers = [predicted_rewards([net], log.rows, log.uniform)[0] for log in known]
    found = np.corrcoef(np.concatenate(answers), np.concatenate([x.rewards for x in known]))[0, 1]
    assert found > 0.8


def test_the_middle_budgets_are_chosen_first() -> None:
    contexts = [Context("MobileNet", ratio) for ratio in (0.2, 0.3, 0.4)] + [Context("VGG16", 0.2)]
    assert trials.middle_budgets(contexts, 1) == [contexts[1], contexts[3]]
    assert trials.middle_budgets(contexts, None) == contexts


def test_trials_go_on_where_they_were(suite: Suite, tmp_path: Path, console: Console) -> None:
    file, executor = tmp_path / "trials.parquet", InProcess(trials.work)
    wanted = trials.trials_of({"uniform": 1, "random": 4}, 2)
    assert trials.run(suite.contexts[:1], wanted, file, executor, console)
    first = rows.load(file)
    assert trials.run(suite.contexts, wanted, file, executor, console)
    found = rows.load(file)
    assert found[:3] == first
    assert len(found) == 6
    assert [len(job.trials) for job in executor.jobs] == [3, 3]
    assert all(row["after 1"] == 0 for row in found if row["agent"] == "uniform")
    header, lines = table.score_cells(Summary(found), "x")
    assert header == ["best relative reward after", "1", "4"]
    assert {line[0] for line in lines} == {"random", "uniform"}
    assert ["uniform", "0.00", ""] in lines

    # More evaluations, another policy or changed code of an agent make other trials.
    rows.save(file, [{**row, "code": "0" * 16} for row in found])
    again = trials.trials_of({"uniform": 1}, 1)
    assert trials.run(suite.contexts, again, file, executor, console)
    more = trials.trials_of({"random": 10}, 1)
    assert trials.run(suite.contexts, more, file, executor, console)
    assert [len(job.trials) for job in executor.jobs[2:]] == [1, 1, 1, 1]
    assert len(rows.load(file)) == 6
    assert [row["after 10"] is not None for row in rows.load(file)] == 2 * [False, True, False]


def test_each_training_is_judged(suite: Suite, tmp_path: Path, console: Console) -> None:
    paths = [tmp_path / f"mine-n20-s{i}.safetensors" for i in range(2)]
    for path in paths:
        path.write_bytes(WEIGHTS.read_bytes())
    wanted = trials.trials_of({"uniform": 1, "amc-policy": 1}, 1, paths)
    assert [trial.policy for trial in wanted] == ["", "mine-n20-s0", "mine-n20-s1"]
    file = tmp_path / "trials.parquet"
    assert trials.run(suite.contexts[:1], wanted, file, InProcess(trials.work), console)
    found = rows.load(file)
    assert found[1]["after 1"] == found[2]["after 1"]
    assert list(policies.by_label(found)) == ["uniform", "mine"]
    assert policies.networks(found[1]["policy"]) == 20
    with pytest.raises(BenchmarkError, match="two files of the same name"):
        trials.trials_of({"amc-policy": 1}, 1, [paths[0], tmp_path / "x" / paths[0].name])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--agents", "uniform"], "AGENT=EVALUATIONS"),
        (["--agents", "uniforn=1"], "uniform"),
        (["--groups", "member"], "members"),
        (["--workers", "0"], "at least 1"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--weights", "nowhere-s*.safetensors"], "no file matches"),
    ],
)
def test_bad_arguments_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transfer", "run", "--out", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_trainings_become_files_once(
    known: list[logs.Log], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EPOCHS", 1)
    monkeypatch.setattr(learners, "suite_of", lambda name: Suite(name, CONTEXTS))
    monkeypatch.setattr(logs, "read", lambda folder: known)
    wanted = [
        learners.Training("amc-policy", 3, "x", 1, tmp_path, 1, apart=True),
        learners.Training(
            "sb3-sac", 0, "x", 1, tmp_path, 2, changes={"policy_kwargs": {"net_arch": [4]}}
        ),
    ]

    execute = InProcess(learners.work)
    assert learners.run(wanted, execute, console)
    first, second = (
        tmp_path / f"{name}.safetensors" for name in ("amc-policy-n1-s3", "sb3-sac-n1")
    )
    assert len(ensemble(str(first))) == 1
    assert declared(second) == "sb3"
    times = [path.stat().st_mtime_ns for path in (first, second)]
    assert learners.run(wanted, execute, console)
    assert [path.stat().st_mtime_ns for path in (first, second)] == times
    assert [job.steps for job in execute.jobs] == [1, 2]

    judged = trials.trials_of({"sb3-policy": 1, "amc-policy": 1}, 1, [first, second])
    assert [(t.agent, t.policy) for t in judged] == [
        ("sb3-policy", "sb3-sac-n1"),
        ("amc-policy", "amc-policy-n1-s3"),
    ]
    with pytest.raises(BenchmarkError, match="names no agent that can load"):
        trials.trials_of({"amc-policy": 1}, 1, [second])


def row(context: str, network: str, policy: str, seed: int, value: float | None) -> Row:
    found = {"context": context, "network": network, "agent": "a", "policy": policy, "seed": seed}
    return {**found, "after 1": value}


def test_policies_without_a_number_in_their_name_are_on_all_networks() -> None:
    found = [row("a", "a", name, 0, 0.5) for name in ("mine-s0", "mine-n40-s0", "other-n5-s0")]
    names = {name: [r["policy"] for r in each] for name, each in policies.by_label(found).items()}
    assert names == {"mine": ["mine-s0"], "other": ["other-n5-s0"]}


def test_intervals_are_over_networks_and_trainings() -> None:
    rng = np.random.default_rng(0)
    worth = rng.normal(size=(12, 5))
    found = [
        row(f"{n}/{b}", str(n), f"p-s{t}", seed, worth[n, t] + b)
        for n in range(12)
        for b in range(2)
        for t in range(5)
        for seed in range(2)
    ]
    all_of = intervals.scores(found, 1)
    assert all_of.values.shape == (24, 5)
    estimate = intervals.estimate(all_of)
    assert estimate.value == pytest.approx(iqm(np.concatenate([worth.mean(1), worth.mean(1) + 1])))
    assert estimate.low < estimate.value < estimate.high
    # Differences between trainings widen the interval, and so do fewer networks.
    shifted = [{**r, "after 1": r["after 1"] + 3 * int(r["policy"][-1])} for r in found]
    wide = intervals.estimate(intervals.scores(shifted, 1))
    assert wide.high - wide.low > 2 * (estimate.high - estimate.low)
    few = intervals.estimate(intervals.scores([r for r in found if int(r["network"]) < 4], 1))
    assert few.high - few.low > estimate.high - estimate.low
    # An agent minus itself is zero.
    nothing = intervals.estimate(
        intervals.scores([r for r in found if r["policy"] == "p-s0"], 1).minus(
            intervals.scores([r for r in found if r["policy"] == "p-s0"], 1)
        )
    )
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_weighted_means_are_those_of_values_written_out() -> None:
    rng = np.random.default_rng(0)
    values, times = rng.normal(size=(50, 9)), rng.integers(0, 4, size=(50, 9))
    found = intervals._weighted_iqm(values, times)
    wanted = [iqm(np.repeat(v, t)) for v, t in zip(values, times, strict=True)]
    np.testing.assert_allclose(found, wanted)
