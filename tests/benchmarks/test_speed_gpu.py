"""The GPU benchmarks, run in small size on a processor."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from benchmarks.speed import training
from benchmarks.speed.gpu import Options, main, peak

SMALL = Options(
    device="cpu",
    networks=("MobileNet digits",),
    reward_images=(8,),
    precisions=("float32",),
    processor_images=4,
    batch_sizes=(4, 8),
    environments=(1, 2),
    plans=3,
    episodes=1,
    size=32,
    calibration=8,
    product=64,
)


def test_a_small_run_writes_every_figure(tmp_path: Path) -> None:
    main(Options(**{**vars(SMALL), "out": tmp_path}))
    rows = list(csv.DictReader((tmp_path / "gpu.csv").read_text().splitlines()))
    assert [(row["evaluation"], row["what"], row["n"]) for row in rows] == [
        ("resident", "episodes", "1"),
        ("resident", "episodes", "2"),
        ("resident", "plans", "3"),
        ("resident", "pass", "4"),
        ("resident", "pass", "8"),
        ("slim", "episodes", "1"),
        ("slim", "pass", "4"),
        ("slim", "pass", "8"),
        ("slim", "episodes", "1"),  # on the processor
    ]
    assert [row["reward_images"] for row in rows] == ["8"] * 8 + ["4"]
    for row in rows:
        images = int(row["reward_images"]) / float(row["seconds"])
        assert float(row["images_per_second"]) == pytest.approx(images)
        assert float(row["peak_share"]) > 0
    for evaluation in ("slim", "resident"):
        profile = tmp_path / f"profile-MobileNet-digits-cpu-{evaluation}-float32.txt"
        assert "conv" in profile.read_text()
    device = json.loads((tmp_path / "gpu.json").read_text())["device"]
    assert device in (tmp_path / "gpu.md").read_text()


def test_the_peak_counts_two_operations_for_each_multiply_accumulate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.speed.gpu.elapsed", lambda device, call: 0.5)
    assert peak(torch.device("cpu"), "float32", 8) == 2 * 8**3 / 0.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_message_says_what_to_run_instead() -> None:
    with pytest.raises(SystemExit, match="--device cpu"):
        main(Options())


def test_training_steps_are_timed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"networks": ("Plain20",), "batch_size": 8, "steps": 1, "rounds": 1, "out": tmp_path}
    training.main(training.Options(device="cpu", **few))
    (figure,) = json.loads((tmp_path / "training.json").read_text())["figures"]
    assert figure["network"] == "Plain20"
    assert min(figure["plain"], figure["fast"]) > 0
    table = (tmp_path / "training.md").read_text()
    assert f"| Plain20 | {figure['plain']:.2f} | {figure['fast']:.2f} |" in table
    assert "Batches of 8" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_training_steps_ask_for_a_gpu() -> None:
    with pytest.raises(SystemExit, match="--device cpu"):
        training.main(training.Options())
