"""The comparison with the authors' code, which runs where AMC_REFERENCE names a clone."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.tracing import trace
from amc_gym.zoo.models.mobilenet import MobileNetV1
from benchmarks.speed import against_reference
from benchmarks.speed.against_reference import main
from benchmarks.speed.reference.ours import refitted
from benchmarks.speed.reference.problem import Problem, Scale, draw_plans, load, make
from benchmarks.speed.reference.report import rows
from benchmarks.speed.reference.worker import Worker, WorkerError

CLONE = os.environ.get("AMC_REFERENCE")
SMALL = Scale(32, 0.25, 10, reward_images=100, calibration_batches=12, episodes=2)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("problem")
    make(folder, SMALL)
    return load(folder)


@pytest.mark.skipif(not CLONE, reason="AMC_REFERENCE names no clone of mit-han-lab/amc")
def test_both_sides_find_the_same_accuracies(tmp_path: Path) -> None:
    assert CLONE is not None
    size = ["--size", "32", "--width", "0.25", "--classes", "10", "--reward-images", "100"]
    work = ["--calibration-batches", "12", "--episodes", "2", "--precision", "float32"]
    assert main(["--reference", CLONE, *size, *work, "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "against-reference.json").read_text())
    assert document["original_accuracy"] > 0.5
    assert len(document["agreement"]) == 2
    for plan in document["agreement"]:
        assert plan["macs"] == pytest.approx(0.49, abs=0.01)
        assert plan["classifier"] == pytest.approx(plan["reference"], abs=0.02)
        assert min(plan.values()) > 0.3  # chance is 0.1
    episodes = document["results"]["reference"]["episodes"]
    assert all(0 < e["refit_s"] + e["evaluation_s"] < e["seconds"] for e in episodes)
    with (tmp_path / "against-reference.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["figure"] for row in table} == {row["figure"] for row in document["table"]}
    assert "Accuracy on 100 reward images" in (tmp_path / "against-reference.md").read_text()


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_wrong_path_names_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    path = tmp_path / name
    assert main(["--reference", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"git clone https://github.com/mit-han-lab/amc {path}" in error


@pytest.mark.parametrize("changed", [{"size": 16}, {"width": 0.0}, {"classes": 9}, {"episodes": 0}])
def test_a_setting_out_of_range_is_named(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changed))} must be"):
        Scale(**changed)


def test_a_side_that_fails_says_why(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "float32", tmp_path, 1, tmp_path / "log")
    with pytest.raises(
        WorkerError, match=r"(?s)float32 process failed at construct .exit status 1.*problem.json"
    ):
        worker("construct")


def test_the_network_is_above_chance(problem: Problem) -> None:
    hits = count_hits(problem.network(), problem.reward.batches(50))
    assert hits.accuracy("top1") > 0.5


def test_plans_are_what_both_sides_can_execute(problem: Problem) -> None:
    network = problem.network()
    graph = trace(network, torch.zeros(1, 3, 32, 32))
    cost = RESOURCES["macs"].of_channels(graph)
    plans = draw_plans(network, SMALL)
    assert plans == problem.plans
    assert plans[0] != plans[1]
    for plan in plans:
        assert 0.48 < cost.total(plan) / cost.full < 0.5
        for count, channels in zip(plan, graph.full, strict=True):
            assert count % 8 == 0
            assert 0.2 * channels <= count <= channels


def test_a_network_may_be_too_narrow() -> None:
    with pytest.raises(ValueError, match="larger width"):
        draw_plans(MobileNetV1(10, 0.05).eval(), Scale(32, 0.05, 10))


@pytest.mark.parametrize("twice", [False, True])
def test_our_pruner_solves_what_the_reference_solves(problem: Problem, twice: bool) -> None:
    """Solve X_S W = X W0 by plain least squares, with the bias for the classifier."""
    network = problem.network()
    graph = trace(network, torch.zeros(1, 3, 32, 32))
    counts, samples, inputs = [], {}, []
    for index, channels in enumerate(graph.full):
        # With independent columns, ridge and rounding hardly matter.
        rows = np.random.default_rng(index).normal(0.5, 1, (4 * channels, channels))
        inputs.append(rows)
        samples[f"gram.{index}"] = torch.from_numpy(rows.T @ rows)
        samples[f"sum.{index}"] = torch.from_numpy(rows.sum(0))
        counts.append(channels // 2)
    pruner = refitted(network, graph, samples, twice=twice)
    for index, unit in enumerate(graph.units):
        layer = network.get_submodule(unit.consumers[0])
        held: Any = layer.weight
        weight = held.detach().flatten(1).double().numpy()
        target = inputs[index] @ weight.T
        if twice and isinstance(layer, nn.Linear):
            target = target + layer.bias.detach().double().numpy()
        order = np.argsort(-np.abs(weight).sum(0))[: counts[index]]
        expected = np.linalg.lstsq(inputs[index][:, order], target, rcond=None)[0].T
        rows = graph.layers[unit.consumers[0]].outputs.kept(pruner.layout(counts))
        actual = pruner.tensors(counts, unit.consumers[0])["weight"].flatten(1).numpy()
        np.testing.assert_allclose(actual, expected[rows], atol=1e-3 * np.abs(expected).max())


def answers(seconds: list[float], above_MB: float) -> dict[str, Any]:
    """Make one side's figures; its construction takes ten times as long as its first episode."""
    shares = {"cpu_s": 1.0, "refit_s": 0.25, "evaluation_s": 0.75}
    episodes = [
        {"seconds": s, **{name: s * share for name, share in shares.items()}, "above_MB": above_MB}
        | {"peak_MB": above_MB + 100}
        for s in seconds
    ]
    return {"construction": {"seconds": 10 * seconds[0], "cpu_s": 1.0}, "episodes": episodes}


def test_the_table_pairs_episodes_and_names_the_target() -> None:
    results = {
        "reference": answers([12, 20, 36], above_MB=1000),
        "float32": answers([1, 4, 2], above_MB=300),
    }
    table = {row.figure: row for row in rows(results, reward_images=300)}
    hours = table["episodes per hour"]
    # Ratios of the plans are 12, 5 and 18; the ratio of the medians would be 10.
    assert hours.ratio == pytest.approx(12)
    assert (hours.reference, hours.ours) == (pytest.approx(180), pytest.approx(1800))
    assert hours.wanted == "≥ 10 ×"
    assert hours.met
    assert hours.spread == "100–300; 900–3.6e+03; 5–18"
    assert table["episode, s"].ratio == pytest.approx(12)
    assert table["  re-fit, s"].reference == pytest.approx(5)
    construction = table["construction, s"]
    assert construction.ratio == pytest.approx(12)
    assert construction.met
    memory = table["peak memory above imports, MB"]
    assert memory.ratio == pytest.approx(0.3)
    assert memory.met is False
    assert table["peak memory of the process, MB"].ratio == pytest.approx(400 / 1100)


@pytest.mark.parametrize(
    ("reward_images", "precision", "wanted"),
    [
        (300, "float32", "≥ 10 ×"),
        (300, "bf16", "≥ 19 ×"),
        (3000, "float32", "≥ 6.5 ×"),
        (3000, "bf16", "≥ 12 ×"),
        (100, "float32", ""),
    ],
)
def test_the_target_depends_on_images_and_precision(
    reward_images: int, precision: str, wanted: str
) -> None:
    results = {"reference": answers([10], 1), precision: answers([1], 1)}
    (row,) = (r for r in rows(results, reward_images) if r.figure == "episodes per hour")
    assert row.wanted == wanted
    assert row.met is (None if not wanted else wanted in ("≥ 10 ×", "≥ 6.5 ×"))


@pytest.mark.parametrize("has", [True, False])
def test_bf16_is_left_out_where_it_would_be_emulated(
    monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    monkeypatch.setattr(against_reference, "has_bf16", lambda _device: has)
    precisions, notes = against_reference.usable(("float32", "bf16", "float32"))
    assert precisions == ["float32", "bf16"][: 1 + has]
    assert [note.split(":")[0] for note in notes] == ["bf16 is skipped"][has:]
    if not has:
        with pytest.raises(ValueError, match="choose --precision float32"):
            against_reference.usable(("bf16",))
