"""Best plans judged image by image: they agree with the records, and no plan is judged twice."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import amc_gym
from amc_gym import CompressionPlan
from amc_gym.zoo.resolving import resolve
from benchmarks.best_plans import __main__ as command
from benchmarks.best_plans.__main__ import judge
from benchmarks.best_plans.judged import Judged
from benchmarks.publishing import publish
from benchmarks.studies.execution import execute, setting_of
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError, Run

PLANS = "best-plans"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the bootstrap quick, with few resamples."""
    monkeypatch.setattr("benchmarks.finetuning.paired.RESAMPLES", 99)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a study of three plans, which are not judged yet."""
    store = Store(tmp_path_factory.mktemp("study"))
    setting = setting_of("AMC-MobileNet-v0", {}, episodes=1)
    for agent in ("uniform", "deep", "random"):
        store.save(execute(Run(setting, agent, 0)))
    return store.folder


def test_files_agree_with_the_records(folder: Path) -> None:
    assert not judge(folder)
    for record in Store(folder).load()[0]:
        found = Judged.read(folder / PLANS / f"{record.run.name}.images.json")
        assert found.agent == record.run.agent
        assert found.right["reward top1"].accuracy == pytest.approx(record.best.reward_accuracy)
        assert found.right["test top1"].accuracy == pytest.approx(record.best.test_accuracy)
        within = found.right["test top5"].array
        assert within[found.right["test top1"].array].all()
        assert 0.4 < within.mean() <= 1
        plan = CompressionPlan.load(folder / "plans" / f"{record.run.name}.json")
        assert plan == record.best.plan


def test_a_judged_study_is_published_with_its_plans_inside_its_runs(
    folder: Path, tmp_path: Path
) -> None:
    assert not judge(folder)
    copy = publish(folder, "judged", tmp_path)
    assert {path.name for path in copy.iterdir()} >= {"best-plans", "best-plans.md"}
    assert not (copy / "plans").exists()
    plans = [[each.best.plan for each in Store(each).load()[0]] for each in (copy, folder)]
    assert plans[0] == plans[1]
    plan = next((folder / "plans").iterdir())
    whole = plan.read_bytes()
    try:
        plan.write_bytes(whole[:-20])
        with pytest.raises(BenchmarkError, match=f"{plan.name} are damaged"):
            publish(folder, "damaged", tmp_path)
    finally:
        plan.write_bytes(whole)


def test_weights_that_moved_since_the_search_are_named(tmp_path: Path) -> None:
    now = tmp_path / "moved.pt"
    torch.save(resolve("Plain20").model.state_dict(), now)
    store = Store(tmp_path / "study")
    store.prepare()
    setting = setting_of("AMC-Plain20-v0", {"weights": str(now)}, episodes=1)
    found = execute(Run(setting, "uniform", 0))
    before = replace(setting, kwargs={"weights": str(tmp_path / "searched.pt")})
    store.save(replace(found, run=replace(found.run, setting=before)))
    with pytest.raises(BenchmarkError, match=r"searched\.pt .*: --weights and --data-root say"):
        judge(store.folder)
    assert not judge(store.folder, weights=now)
    assert (store.folder / "best-plans.csv").exists()


def test_the_table_has_a_line_for_each_agent_and_the_full_network(folder: Path) -> None:
    assert not judge(folder)
    with (folder / "best-plans.csv").open() as file:
        rows = {row["agent"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"full network", "uniform", "deep", "random"}
    for name, row in rows.items():
        low, mean, high = (float(row[f"test_top1{end}"]) for end in ("_low", "", "_high"))
        assert low <= mean <= high
        assert (row["test_top1_to_uniform"] == "") == (name in ("full network", "uniform"))
    assert float(rows["full network"]["test_top1"]) > float(rows["uniform"]["test_top1"])


def test_plans_are_judged_under_other_recoveries_beside_the_uniform_plan(folder: Path) -> None:
    assert not judge(folder, ("reconstruct", "bn"))
    with (folder / "best-plans.csv").open() as file:
        rows = {row["agent"]: row for row in csv.DictReader(file)}
    for agent in ("uniform", "deep", "random"):
        same, other = rows[f"{agent} under reconstruct"], rows[f"{agent} under bn"]
        assert same["test_top1"] == rows[agent]["test_top1"] != other["test_top1"]
        assert (other["test_top1_to_uniform"] == "") == (agent == "uniform")
    with pytest.raises(ValueError, match="recovery"):
        judge(folder, ("reconstuct",))


def test_another_recovery_chooses_among_the_best_plans_of_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "study")
    store.prepare()
    setting = setting_of("AMC-MobileNet-v0", {"recovery": "none"}, episodes=8)
    for agent in ("uniform", "random"):
        store.save(execute(Run(setting, agent, 0)))
    assert not judge(store.folder, ("reconstruct",))
    assert not judge(store.folder, ("reconstruct",), candidates=4)
    with (store.folder / "best-plans.csv").open() as file:
        rows = {row["agent"]: float(row["reward_top1"]) for row in csv.DictReader(file)}
    one, several = "random under reconstruct", "random under reconstruct, best of 4"
    rules = {"full network", "uniform", "uniform under reconstruct"}
    assert set(rows) == rules | {"random", one, several}

    assert "Best of n: " in (store.folder / "best-plans.md").read_text()

    record = next(each for each in store.load()[0] if each.run.agent == "random")
    files = store.folder / PLANS
    name, found = record.run.name, []
    for rank in ("", ".1", ".2", ".3"):
        judged = Judged.read(files / f"{name}{rank}.reconstruct.images.json")
        assert judged.agent == "random under reconstruct"
        found.append(judged.right["reward top1"].accuracy)
    assert not (files / f"{name}.4.reconstruct.images.json").exists()
    assert rows[several] == max(found) > found[0] == rows[one]
    assert len(list(files.glob("*.json"))) == 1 + 2 * 2 + 3  # the full network, ..., candidates
    chosen = CompressionPlan.load(store.folder / "plans" / f"{name}.reconstruct.json")
    task = amc_gym.task_of(chosen)
    network = amc_gym.compress(task, chosen, "reconstruct")
    assert amc_gym.accuracy(network, task.reward) == pytest.approx(max(found))
    assert chosen.measured.score in record.history.accuracy
    assert chosen.measured.macs in record.history.macs

    copy = publish(store.folder, "published", tmp_path)
    with pytest.raises(BenchmarkError, match="keeps the best plan of each run only"):
        judge(copy, ("bn",), candidates=2)


@pytest.mark.parametrize(("recoveries", "candidates"), [(("bn",), 0), ((), 2)])
def test_candidates_are_plans_under_another_recovery(
    recoveries: tuple[str, ...], candidates: int, folder: Path
) -> None:
    with pytest.raises(BenchmarkError, match="--candidates"):
        judge(folder, recoveries, candidates=candidates)


def test_fine_tuned_networks_are_judged_beside_their_plans(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no network of these runs"):
        judge(folder, tuned=tmp_path)
    for record in Store(folder).load()[0]:
        task = amc_gym.task_of(record.best.plan)
        if record.run.agent != "deep":
            network = amc_gym.compress(task, record.best.plan, "bn")
            amc_gym.export(network, task, tmp_path / f"{record.run.name}.safetensors")
    assert not judge(folder, ("bn",), tmp_path)
    with (folder / "best-plans.csv").open() as file:
        rows = {row["agent"]: row for row in csv.DictReader(file)}
    assert "deep fine-tuned" not in rows
    for agent in ("uniform", "random"):
        for what in ("test_top1", "reward_top1_to_uniform"):
            assert rows[f"{agent} fine-tuned"][what] == rows[f"{agent} under bn"][what]


def test_what_is_judged_stays_and_what_is_not_there_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "right_images", None)
    assert not judge(folder)
    with pytest.raises(BenchmarkError, match="no finished runs"):
        judge(tmp_path)
