"""Pareto fronts over MACs and latency, from the table to the figures, on a random network."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from amc_gym.compression.latency import timing
from benchmarks.filling.cells import RESULTS
from benchmarks.pareto.__main__ import main
from benchmarks.pareto.fronts import HUMAN, compare, markdown
from benchmarks.pareto.latencies import Latency
from benchmarks.pareto.points import Point
from benchmarks.pareto.report import write

ARGUMENTS = [
    *("--env-kwargs", '{"weights": "random", "reward_images": 20, "recovery": "none"}'),
    *("--budgets", "0.97,0.4", "--agents", "uniform,width-multiplier", "--episodes", "1"),
    *("--runtime", "torch", "--rounds", "3", "--noisiest", "1000", "--no-finetune"),
    *("--workers", "1"),
]


@pytest.mark.thorough
def test_every_method_and_budget_is_a_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Exact figures are not needed here: shorter measurements will do.
    monkeypatch.setattr(timing, "LEAST_NS", 20_000)
    monkeypatch.setattr("benchmarks.pareto.__main__.CHECKED", 8)
    arguments = ["--out", str(tmp_path), *ARGUMENTS]
    assert main(arguments) == 0
    points = list(csv.DictReader((tmp_path / "pareto.csv").read_text().splitlines()))
    # Which latency budgets are feasible depends on the machine; others are left out.
    there = [(p["method"], p["budget"]) for p in points if not p["method"].endswith("latency")]
    assert there == [
        ("full network", "1.0"),
        ("uniform, macs", "0.97"),
        ("uniform, macs", "0.4"),
        ("width-multiplier, macs", "0.97"),
        ("width-multiplier, macs", "0.4"),
    ]
    for point in points:
        if point["method"].endswith("macs"):
            assert float(point["macs"]) <= float(point["budget"])
        assert 0 < float(point["ms_low"]) <= float(point["ms"]) <= float(point["ms_high"])
    assert float(points[0]["faster"]) == 1
    found = json.loads((tmp_path / "latency-check.json").read_text())
    assert len(found["predicted_ns"]) == len(found["measured_ns"]) == 8
    for name in ("pareto.png", "pareto.html", "pareto.md"):
        assert (tmp_path / name).stat().st_size > 500
    # A second run measures nothing again.
    files = ("latency-table.json", "latency-check.json", "latencies.json")
    before = [(tmp_path / name).stat().st_mtime_ns for name in files]
    assert main(arguments) == 0
    assert [(tmp_path / name).stat().st_mtime_ns for name in files] == before
    assert not any(point["after"] for point in points)

    tuned = [part for part in arguments if part != "--no-finetune"] + ["--budgets", "0.4"]
    tuned += ["--recipe.epochs", "1", "--recipe.no-flip", "--recipe.shift", "1"]
    assert main(tuned) == 0
    points = list(csv.DictReader((tmp_path / "pareto.csv").read_text().splitlines()))
    full, *others = points
    for point in others:
        difference = float(point["after"]) - float(full["after"])
        assert float(point["difference"]) == pytest.approx(difference)
    assert "## Front against front" in (tmp_path / "pareto.md").read_text()

    assert main([*arguments, "--env", "AMC-VGG16-v0"]) == 2
    assert "holds searches of another network" in capsys.readouterr().err


def made(method: str, budget: float, macs: float, right: list[int], seed: int = 0) -> Point:
    """Make a point that is judged on four images; its latency is proportional to its MACs."""
    latency = Latency(10 * macs, 10 * macs, 10 * macs, 1 / macs, 1 / macs, 1 / macs)
    bits = np.array(right, dtype=float)
    agent, _, resource = method.partition(", ")
    return Point(agent, resource, budget, seed, macs, latency, bits.mean(), None, bits / 2, bits)


def test_fronts_are_compared_at_equal_sizes() -> None:
    points = [
        made("full network", 1.0, 1.0, [1, 1, 1, 1]),
        made(HUMAN, 0.5, 0.5, [1, 1, 0, 0]),
        made("gp, macs", 0.75, 0.75, [1, 1, 1, 1]),
        made("gp, macs", 0.4, 0.4, [1, 1, 1, 1]),  # smaller than the human's smallest
        made("gp, latency", 0.6, 0.5, [1, 1, 1, 0]),
    ]
    found = {(c.stage, c.method, c.other, c.size): c.differences for c in compare(points)}
    human = found["after", "gp, macs", HUMAN, "MACs"]
    assert list(human) == [0.75]
    # The front at 0.75 is halfway between two and four right images.
    assert human[0.75].mean == pytest.approx(0.25)
    assert found["before", "gp, macs", HUMAN, "MACs"][0.75].mean == pytest.approx(0.125)
    assert found["after", "gp, latency", HUMAN, "ms"][0.6].mean == pytest.approx(0.25)
    assert found["after", "gp, latency", "gp, macs", "ms"][0.6].mean == pytest.approx(-0.25)
    assert len(found) == 10
    assert "| after | gp, macs | width-multiplier, macs | MACs | +25.00 [+0.00, +50.00] |" in (
        "\n".join(markdown(compare(points)))
    )


def test_each_seed_meets_each_seed_of_the_other_front() -> None:
    full = made("full network", 1.0, 1.0, [1, 1, 1, 1])
    ours = [
        made("gp, latency", 0.6, 0.5, [1, 1, 1, 0], seed=0),
        made("gp, latency", 0.6, 0.75, [1, 1, 1, 1], seed=1),
    ]
    theirs = [
        made("gp, macs", 0.5, 0.5, [1, 1, 0, 0], seed=0),
        made("gp, macs", 0.5, 0.6, [0, 0, 0, 0], seed=1),  # larger than our smallest
    ]
    [found] = [c for c in compare([full, *ours, *theirs]) if c.stage == "after"]
    # 3/4 - 2/4 at 0.5; 1 - 3/4 (halfway) and 1 - 3/8 (15/40 of the way from nothing) at 0.75.
    assert found.differences[0.6].mean == pytest.approx((1 / 4 + 1 / 4 + 5 / 8) / 3)
    assert found.differences[0.6].low < 0.3 < found.differences[0.6].high


def test_a_row_is_the_mean_of_its_seeds(tmp_path: Path) -> None:
    points = [
        made("full network", 1.0, 1.0, [1, 1, 1, 1]),
        made(HUMAN, 0.5, 0.5, [1, 1, 0, 0]),
        made("gp, macs", 0.5, 0.5, [1, 1, 1, 0], seed=0),
        made("gp, macs", 0.5, 0.4, [1, 0, 0, 0], seed=1),
    ]
    write(points, tmp_path, "Fronts", "A note.", Console(quiet=True))
    rows = (tmp_path / "pareto.md").read_text().splitlines()
    [row] = [row for row in rows if row.startswith("| gp, macs | 50 |")]
    assert row.startswith(
        "| gp, macs | 50 | 2 | 45.0 | 4.500 | 2.25 x [2.25, 2.25] | 50.00 | 50.00 | -50.00 ["
    )
    assert len((tmp_path / "pareto.csv").read_text().splitlines()) == 1 + len(points)
    points[-1] = replace(points[-1], right_after=None)
    write(points, tmp_path, "Fronts", "A note.", Console(quiet=True))
    assert "| gp, macs | 50 | 2, 1 fine-tuned |" in (tmp_path / "pareto.md").read_text()


def test_without_fine_tuning_there_is_nothing_to_compare() -> None:
    point = made(HUMAN, 0.5, 0.5, [1, 1, 0, 0])
    assert compare([replace(point, right_before=None, right_after=None)] * 3) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budgets", "1.5"], "between 0 and 1"),
        (["--budgets", "half"], "numbers joined by commas"),
        (["--env-kwargs", "[]"], "JSON object"),
        (["--env-kwargs", "{"], "not JSON"),
        (["--report-only"], "leave --report-only out"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_committed_result_is_reported_again(tmp_path: Path) -> None:
    committed, again = RESULTS / "pareto-cifar10", tmp_path / "again"
    shutil.copytree(committed, again)
    (again / "pareto.csv").unlink()
    (again / "pareto.png").unlink()
    assert main(["--out", str(again), "--report-only"]) == 0
    assert (again / "pareto.csv").read_text() == (committed / "pareto.csv").read_text()
    assert (again / "pareto.png").stat().st_size > 10_000
