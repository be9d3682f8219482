"""Interrupted commands: the same command given again goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

import amc_gym
from amc_gym.__main__ import main
from amc_gym.cli import delivery
from amc_gym.training.checkpoints import finished_epochs
from amc_gym.training.loop import train
from amc_gym.zoo.resolving import resolve

RECIPE = ["--batch-size", "448", "--distillation", "0"]


def killed(*_: object, **__: object) -> None:
    """End a command in a way that no handler of errors catches."""
    raise SystemExit


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = amc_gym.search(resolve("Plain20"), 1, progress=False)
    return made.save(tmp_path_factory.mktemp("plan") / "plan.json")


def finetune(plan: Path, out: Path, *options: str, epochs: int = 1) -> int:
    recipe = [*RECIPE, "--epochs", str(epochs)]
    return main(["finetune", str(plan), "--out", str(out), *recipe, *options])


def stop(plan: Path, out: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fine-tune until the command calls the function named ``where``; return the checkpoint."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, where, killed)
        assert finetune(plan, out) == 1
    checkpoint = out.with_name(f"{out.name}.checkpoint.pt")
    assert finished_epochs(checkpoint) == 1
    return checkpoint


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_finetune_goes_on_after_its_result_was_written(
    plan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "tuned.safetensors"
    checkpoint = stop(plan, out, "score", monkeypatch)
    written = files(tmp_path)
    assert set(written) == {out.name, f"{out.name}.json", checkpoint.name}

    # The file may have become another one in the meantime.
    out.write_text("mine")
    assert finetune(plan, out) == 1
    assert "exists: name another file" in capsys.readouterr().err
    assert out.read_text() == "mine"

    out.write_bytes(written[out.name])
    assert finetune(plan, out) == 0
    assert "test images: original" in capsys.readouterr().out
    del written[checkpoint.name]
    assert files(tmp_path) == written

    assert finetune(plan, out) == 1  # finished: another run would replace the file
    assert "exists: name another file, or use --force" in capsys.readouterr().err
    assert files(tmp_path) == written
    assert finetune(plan, out, "--force") == 0
    assert files(tmp_path) == written  # bit for bit


@pytest.mark.parametrize("where", ["holds", "half"])
def test_finetune_goes_on_before_its_result_was_written(
    where: str, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tuned.safetensors"
    if where == "half":  # the description is written, and the network is not yet
        stop(plan, out, "score", monkeypatch)
        out.unlink()
    else:
        stop(plan, out, "holds", monkeypatch)
    assert finetune(plan, out) == 0
    assert set(files(tmp_path)) == {out.name, f"{out.name}.json"}
    assert amc_gym.load(out)


def test_finetune_refuses_an_existing_file_before_it_trains(
    plan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "tuned.safetensors"
    network = amc_gym.compress(resolve("Plain20"), amc_gym.CompressionPlan.load(plan))
    images = amc_gym.training_images(resolve("Plain20")).first(64)
    recipe = amc_gym.Recipe(1, 64, 0.01, schedule="cosine")
    checkpoint = out.with_name(f"{out.name}.checkpoint.pt")
    train(network, images, recipe, checkpoint=checkpoint, progress=False)
    out.write_text("mine")
    monkeypatch.setattr(amc_gym.workflows.finetuning, "finetune", killed)
    assert finetune(plan, out, epochs=2) == 1  # one of two is done
    assert "exists: name another file" in capsys.readouterr().err
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert finetune(plan, out, epochs=2) == 1
    assert "is damaged" in capsys.readouterr().err
