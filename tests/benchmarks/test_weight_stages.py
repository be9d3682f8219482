"""Weight pruning in stages, compared with the full network that is trained further."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save

import amc_gym
from amc_gym.compression.pruning.fine_grained import nonzero_params
from amc_gym.zoo.resolving import resolve
from benchmarks.publishing import publish
from benchmarks.weight_stages import main

SHORT = ("--network", "MobileNet", "--dataset", "digits", "--density", "0.7", "--stages", "2")
SHORT += ("--evaluations", "2", "--recipe.epochs", "1", "--recipe.no-flip", "--recipe.shift", "1")
SHORT += ("--recipe.learning-rate", "0.01")


@pytest.mark.thorough
def test_stages_are_compared_with_the_full_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["--out", str(tmp_path), *SHORT]) == 0
    assert "500 test images" in capsys.readouterr().out
    with (tmp_path / "stages.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [round(float(row["density"]), 2) for row in rows] == [0.84, 0.7]
    assert {row["images"] for row in rows} == {"500"}
    for row in rows:
        before, after, full = (float(row[name]) for name in ("before", "after", "full"))
        assert full > 0.97
        assert after > 0.9
        assert before <= 1
        assert float(row["difference"]) == pytest.approx(after - full)
        assert float(row["low"]) <= after - full <= float(row["high"])
    # The saved networks load into the original's class, and score as the table says.
    for number, row in enumerate(rows, start=1):
        file = tmp_path / "networks" / f"stage-{number}.safetensors"
        assert file.stat().st_size < 2 * 10**6
        task = resolve("MobileNet", dataset="digits", weights=str(file))
        assert amc_gym.accuracy(task.model, task.test) == pytest.approx(float(row["after"]))
        share = nonzero_params(task.model) / sum(p.numel() for p in task.model.parameters())
        assert share == pytest.approx(float(row["density"]))
    assert "densities.png" in (tmp_path / "stages.md").read_text()
    assert (tmp_path / "densities.png").stat().st_size > 5_000

    # Finished trainings are not repeated, and nothing is left that looks unfinished.
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("full-*.safetensors")}
    assert len(kept) == 2
    assert not list(tmp_path.glob("*.checkpoint"))
    assert main(["--out", str(tmp_path), *SHORT]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept

    # A shorter training of the full network measures nothing again: figures and machine stay.
    machine = json.loads((tmp_path / "machine.json").read_text())
    machine["machine"]["cpu"] = "an abacus"
    (tmp_path / "machine.json").write_text(json.dumps(machine))
    assert main(["--out", str(tmp_path), *SHORT, "--alike", "1"]) == 0
    with (tmp_path / "stages.csv").open() as file:
        again = list(csv.DictReader(file))
    assert [row["full"] for row in again] == [rows[0]["full"]] * 2
    assert [row["after"] for row in again] == [row["after"] for row in rows]
    notes = (tmp_path / "stages.md").read_text()
    assert "not trained on after stage 1" in notes
    assert "an abacus" in notes

    # What another recipe trained, or a damaged file, is refused and left as it is.
    capsys.readouterr()
    first = tmp_path / "full-1.safetensors"
    whole = first.read_bytes()
    with safe_open(first, "pt") as file:
        other = file.metadata() | {"recipe": "{}"}
    for content, message in (
        (save(load_file(first), other), "belongs to another call"),
        (whole[:1000], "is damaged"),
    ):
        first.write_bytes(content)
        assert main(["--out", str(tmp_path), *SHORT]) == 2
        assert message in capsys.readouterr().err
        assert first.read_bytes() == content
    first.write_bytes(whole)

    # Publishing takes the report, not the networks that the study goes on from.
    copy = publish(tmp_path, "stages", tmp_path.parent / "results")
    assert {path.suffix for path in copy.iterdir()} == {".csv", ".json", ".md", ".png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--density", "1.5"), "--density must be in (0, 1)"),
        (("--stages", "0"), "--stages must be at least 1"),
        (("--alike", "3"), "--alike must be from 1 to the 2 stages"),
        (("--network", "Nobody"), "Nobody"),
    ],
)
def test_bad_arguments(
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--out", str(tmp_path), *SHORT, *arguments]) == 2
    assert message in capsys.readouterr().err
