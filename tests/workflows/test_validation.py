"""Validation: every claim of a plan is checked, and forged plans are detected."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import amc_gym
from amc_gym import CompressionPlan, PlanError
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import cache_folder, table_of
from amc_gym.envs.factory import make_env
from amc_gym.workflows.validation import tolerance

FIRST = "blocks.0.pointwise.conv"


@pytest.fixture(scope="module")
def plan() -> CompressionPlan:
    return amc_gym.search("MobileNet", 1, progress=False)


def forged(plan: CompressionPlan, part: str, **changes: Any) -> CompressionPlan:
    old: Any = getattr(plan, part)
    new = replace(old, **changes) if part == "measured" else old | changes
    return replace(plan, **{part: new})


def test_an_honest_plan_holds(digits_task, plan) -> None:
    validation = amc_gym.validate(digits_task, plan)
    assert validation.ok
    assert validation.found["macs"] == validation.claimed["macs"]
    assert not validation.unproven


def one_more(counts: tuple[int, ...]) -> tuple[int, ...]:
    return (*counts, 15)


REFUTED: dict[str, tuple[Callable[[CompressionPlan], CompressionPlan], str]] = {
    "accuracy NaN": (lambda p: forged(p, "measured", score=math.nan), "accuracy: claimed nan"),
    "accuracy infinite": (lambda p: forged(p, "measured", score=math.inf), "accuracy"),
    "accuracy above 1": (lambda p: forged(p, "measured", score=1.0000001), "accuracy"),
    "accuracy below 0": (lambda p: forged(p, "measured", score=-0.1), "accuracy"),
    "accuracy a text": (lambda p: forged(p, "measured", score="0.8"), "accuracy"),
    "accuracy true": (lambda p: forged(p, "measured", score=True), "accuracy"),
    "accuracy off by 3 images": (
        lambda p: forged(p, "measured", score=p.measured.accuracy + 3 / 400),
        "tolerance 0.005",
    ),
    "images": (lambda p: forged(p, "measured", images=1), "images: claimed 1, evaluated on 400"),
    "images NaN": (lambda p: forged(p, "measured", images=math.nan), "images"),
    "few images do not loosen": (
        lambda p: forged(forged(p, "options", reward_images=1), "measured", images=1, score=0.5),
        "tolerance 0.005",
    ),
    "macs": (lambda p: forged(p, "measured", macs=p.measured.macs + 1), "macs"),
    "macs as a float": (lambda p: forged(p, "measured", macs=float(p.measured.macs)), "macs"),
    "macs NaN": (lambda p: forged(p, "measured", macs=math.nan), "macs"),
    "no macs": (lambda p: forged(p, "measured", macs=None), "macs"),
    "params": (lambda p: forged(p, "measured", params=p.measured.params - 1), "params"),
    "params true": (lambda p: forged(p, "measured", params=True), "params"),
    "latency below 0": (lambda p: forged(p, "measured", latency_ns=-5), "latency_ns"),
    "latency NaN": (lambda p: forged(p, "measured", latency_ns=math.nan), "latency_ns"),
    "over a smaller budget": (
        lambda p: forged(p, "options", preserve_ratio=0.1),
        "10 % of the network's 4,172,288 are 417,228",
    ),
    "over a budget of another resource": (
        lambda p: forged(p, "options", resource="params", preserve_ratio=0.05),
        "budget: ",
    ),
    "too little is kept": (
        lambda p: forged(p, "options", max_sparsity=0.1),
        "which max_sparsity and channel_multiple do not allow",
    ),
    "odd counts": (lambda p: forged(p, "options", channel_multiple=64), "decisions: "),
}


@pytest.mark.parametrize(("change", "said"), REFUTED.values(), ids=REFUTED)
def test_false_claims_are_found(digits_task, plan, change, said: str) -> None:
    validation = amc_gym.validate(digits_task, change(plan))
    assert not validation.ok
    assert any(said in problem for problem in validation.problems), validation.problems


REFUSED: dict[str, tuple[Callable[[CompressionPlan], CompressionPlan], str]] = {
    "a channel twice": (lambda p: forged(p, "kept", **{FIRST: (1, 1, 2)}), "do not ascend"),
    "descending": (lambda p: forged(p, "kept", **{FIRST: (2, 1)}), "do not ascend"),
    "below 0": (lambda p: forged(p, "kept", **{FIRST: (-1, 1)}), "outside 0..15"),
    "beyond": (lambda p: forged(p, "kept", **{FIRST: (1, 16)}), "outside 0..15"),
    "no number": (lambda p: forged(p, "kept", **{FIRST: (1, 2.0)}), "not whole numbers"),
    "truth": (lambda p: forged(p, "kept", **{FIRST: (True, 2)}), "not whole numbers"),
    "nothing": (lambda p: forged(p, "kept", **{FIRST: ()}), "outside"),
    "both": (lambda p: replace(p, weights={FIRST: 1}), "weight pruning"),
    "a unit less": (
        lambda p: replace(p, kept={k: v for k, v in p.kept.items() if k != FIRST}),
        "another network",
    ),
    "all steps": (
        lambda p: forged(p, "options", recovery="reconstruct+finetune:1000000000"),
        "finetune takes",
    ),
    "digits": (lambda p: forged(p, "options", recovery="finetune:" + "9" * 400), "finetune takes"),
    "no recovery": (lambda p: forged(p, "options", recovery=None), "recovery"),
    "an unknown recovery": (lambda p: forged(p, "options", recovery="luck"), "recovery step"),
    "no resource": (lambda p: forged(p, "options", resource="watts"), "resource"),
    "no reward": (lambda p: forged(p, "options", reward="luck"), "reward"),
    "ratio NaN": (lambda p: forged(p, "options", preserve_ratio=math.nan), "preserve_ratio"),
    "ratio 0": (lambda p: forged(p, "options", preserve_ratio=0.0), "preserve_ratio"),
    "ratio 2": (lambda p: forged(p, "options", preserve_ratio=2), "preserve_ratio"),
    "more images": (lambda p: forged(p, "options", reward_images=401), "the task has 400"),
    "no images": (lambda p: forged(p, "options", reward_images=0), "reward_images"),
    "sparsity NaN": (lambda p: forged(p, "options", max_sparsity=math.nan), "max_sparsity"),
    "sparsity by kind": (lambda p: forged(p, "options", max_sparsity={"linear": 0.5}), "conv"),
    "an option more": (lambda p: forged(p, "options", frames=3), "frames is unknown"),
    "own latency": (lambda p: forged(p, "options", resource="latency"), "names no latency table"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_impossible_plans_are_refused(digits_task, plan, change, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        amc_gym.validate(digits_task, change(plan))


def test_the_tolerance_is_two_images_and_no_more() -> None:
    assert tolerance(400) == 2 / 400
    assert tolerance(3000) == 0.002
    assert tolerance(3) < 1 / 3  # of three images none may differ
    assert tolerance(1) < 1


def test_claims_about_weights_are_checked_too(digits_task) -> None:
    env = make_env(
        digits_task, granularity="weight", resource="params", recovery="none", preserve_ratio=0.3
    )
    plan = amc_gym.search(env, 1, progress=False)
    assert amc_gym.validate(digits_task, plan).ok
    less = forged(plan, "options", preserve_ratio=plan.options["preserve_ratio"] / 2)
    assert any("budget" in problem for problem in amc_gym.validate(digits_task, less).problems)
    first = next(iter(plan.weights))
    with pytest.raises(PlanError, match="that are not zero"):
        amc_gym.validate(digits_task, forged(plan, "weights", **{first: 10**9}))


def test_a_latency_budget_is_checked_by_its_table(
    plain_task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path))
    measured = table_of(engines.analysis(plain_task), "torch", rounds=3, noisiest=1e9)
    grids = {
        key: replace(grid, ns=tuple(tuple(100 * i * o for o in grid.outputs) for i in grid.inputs))
        for key, grid in measured.grids.items()
    }
    table = replace(measured, grids=grids, overhead=0, portable=True)
    file = table.save(tmp_path / "times.json")
    table.save(cache_folder() / "times.json")
    env = make_env(plain_task, resource="latency", preserve_ratio=0.5, latency_table=file)
    plan = amc_gym.search(env, 1, progress=False)
    assert amc_gym.validate(plain_task, plan).ok  # with the table in the cache
    assert amc_gym.validate(plain_task, plan, latency_table=file).ok
    ns = plan.measured.latency_ns
    assert ns is not None
    for false in (ns - 1, float(ns), 0, math.nan):
        lie = forged(plan, "measured", latency_ns=false)
        problems = amc_gym.validate(plain_task, lie, latency_table=file).problems
        assert any("latency_ns: claimed" in problem for problem in problems)
    small = forged(plan, "options", preserve_ratio=0.3)
    problems = amc_gym.validate(plain_task, small, latency_table=file).problems
    assert any(problem.startswith("budget: ") for problem in problems)

    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "elsewhere"))
    unknown = amc_gym.validate(plain_task, plan)
    assert unknown.ok
    assert not unknown.budget_judged
    assert "the budget and latency_ns" in unknown.unproven[0]
    free = amc_gym.validate(plain_task, forged(plan, "options", preserve_ratio=None))
    assert free.budget_judged
    assert free.unproven[0].startswith("latency_ns: ")
    slower = replace(LatencyTable.load(file), overhead=12345).save(tmp_path / "other.json")
    with pytest.raises(LatencyError, match="not the latency table that the plan was made with"):
        amc_gym.validate(plain_task, plan, latency_table=slower)
