"""``python -m benchmarks zoo``: networks are trained once, and kept or left out with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from amc_gym.zoo import small
from amc_gym.zoo.small import store
from benchmarks.__main__ import main
from benchmarks.zoo import training


def test_what_is_finished_stays_and_what_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = training.RECIPES["digits"]
    command = ["zoo", "--out", str(tmp_path), "--only", "vgg-digits-0", "--each", "1"]
    monkeypatch.setitem(training.RECIPES, "digits", replace(digits, epochs=1))
    assert main(command) == 0
    assert "vgg-digits-0: left out, the training came to" in capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setitem(training.RECIPES, "digits", replace(digits, epochs=6))
    assert main([*command, "--rerun"]) == 0
    found = store.read(tmp_path)
    assert not found.left_out
    card = found.networks["vgg-digits-0"]
    assert card.recipe["epochs"] == 6
    assert card.uniform_loss >= training.LEAST
    assert card.uniform_loss == pytest.approx(
        100 * (card.accuracy["reward"].top1 - card.uniform), abs=0.01
    )
    assert not store.load("vgg-digits-0", tmp_path).training
    assert card.architecture == small.card("vgg-digits-0").architecture


def test_unknown_names_are_refused(tmp_path: Path, capsys) -> None:
    assert main(["zoo", "--out", str(tmp_path), "--only", "plane"]) == 2
    assert "no network has 'plane' in its name" in capsys.readouterr().err
