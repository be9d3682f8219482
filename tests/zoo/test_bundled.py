"""Bundled weights: they are as accurate as their cards say, and come from a recipe."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import same

from amc_gym.compression.cost import counted_macs
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import accuracy
from amc_gym.zoo import bundled, models
from amc_gym.zoo.datasets import digits, find_root, load
from amc_gym.zoo.datasets.imagenette import FOLDERS
from amc_gym.zoo.pretrained import pretrained
from amc_gym.zoo.recipes import RECIPES, TEACHERS, main

NO_FIELDS = {"accuracy": {}, "fingerprints": {}, "recipe": {}}
"""Fields of a card that its writer has to give, all empty."""

CARDS = [json.loads(path.read_text()) for path in sorted(bundled.DIRECTORY.glob("*.json"))]


def test_bundled_weights_have_a_recipe() -> None:
    assert {(card["network"], card["dataset"]) for card in CARDS} <= set(RECIPES)
    assert ("MobileNet", "digits") in RECIPES


@pytest.mark.parametrize(
    ("network", "dataset"),
    [
        pytest.param(
            card["network"],
            card["dataset"],
            marks=[] if card["dataset"] == "digits" else pytest.mark.thorough,
        )
        for card in CARDS
    ],
)
def test_bundled_weights_are_what_their_card_says(network: str, dataset: str) -> None:
    card = bundled.find(network, dataset)
    if dataset != "digits" and "AMC_DATA_ROOT" not in os.environ:
        pytest.skip("AMC_DATA_ROOT names no folder of data")
    root = find_root(dataset, None)
    if root and dataset == "imagenette96" and not any((root / name).is_dir() for name in FOLDERS):
        pytest.skip("AMC_DATA_ROOT has no Imagenette")
    model, splits = bundled.load(network, dataset), load(dataset, root)
    assert not model.training
    assert counted_macs(model, torch.zeros(1, *card["input_shape"])) == card["macs"]
    assert sum(parameter.numel() for parameter in model.parameters()) == card["parameters"]
    for name in ("reward", "test"):
        split, claim = getattr(splits, name), card["accuracy"][name]
        assert claim["images"] == len(split)
        assert accuracy(model, split) == pytest.approx(claim["top1"], abs=1.01 / len(split))
    for name, fingerprint in card["fingerprints"].items():
        assert getattr(splits, name).fingerprint == fingerprint


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_making_a_network_leaves_what_is_drawn_after_it_alone(network: str) -> None:
    makers = (
        lambda: bundled.load(network, "digits"),
        lambda: models.build(network, "digits"),
        lambda: pretrained(network, "digits", "random", lambda: 10),
    )
    for make in makers:
        before = torch.get_rng_state()
        make()
        assert torch.equal(torch.get_rng_state(), before)


def test_damaged_weights_are_refused_with_the_fix(tmp_path: Path) -> None:
    card = bundled.find("MobileNet", "digits")
    content = bytearray((bundled.DIRECTORY / card["file"]).read_bytes())
    path = tmp_path / card["file"]
    (tmp_path / "mobilenet-digits.json").write_text(json.dumps(card))

    with pytest.raises(OSError, match=r"cannot read.*make weights"):
        bundled.load("MobileNet", "digits", tmp_path)
    path.write_bytes(content[:-1000])
    with pytest.raises(OSError, match=r"checksum.*make weights"):
        bundled.load("MobileNet", "digits", tmp_path)
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"checksum.*reinstall 'amc-gym"):
        bundled.load("MobileNet", "digits", tmp_path)
    path.write_bytes(content[:-1000])
    with pytest.raises(OSError, match="damaged"):
        bundled.load_state(path)


def test_saved_weights_come_back(tmp_path: Path) -> None:
    model = bundled.load("MobileNet", "digits")
    path = bundled.save(
        model, "MobileNet", "digits", input_shape=(1, 16, 16), fields=NO_FIELDS, directory=tmp_path
    )
    assert path == tmp_path / "mobilenet-digits.safetensors"
    assert same(bundled.load("MobileNet", "digits", tmp_path), model)


def test_unknown_pairs_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"choose from .*'MobileNet digits'"):
        bundled.find("ResNet50", "imagenet")
    with pytest.raises(ValueError, match="did you mean 'MobileNet digits'"):
        main("MobileNet", "digit")


def test_main_writes_weights_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPES["Plain20", "digits"], batch_size=256)
    monkeypatch.setitem(RECIPES, ("Plain20", "digits"), recipe)
    main("Plain20", "digits", out=tmp_path, epochs=2, checkpoint=tmp_path / "run.pt")
    card = bundled.find("Plain20", "digits", tmp_path)
    recipe = replace(recipe, epochs=2)
    assert card["recipe"] == recipe.described()
    once = (tmp_path / card["file"]).read_bytes()
    torch.manual_seed(recipe.seed)
    model = models.build("Plain20", "digits")
    train(model, digits().train, recipe, progress=False)
    assert same(bundled.load("Plain20", "digits", tmp_path), model)
    # A finished run is read from its checkpoint.
    main("Plain20", "digits", out=tmp_path, epochs=2, checkpoint=tmp_path / "run.pt")
    assert (tmp_path / card["file"]).read_bytes() == once
    card = bundled.find("Plain20", "digits", tmp_path)
    assert accuracy(model, digits().reward) == card["accuracy"]["reward"]["top1"]
    assert "of 400 images" in capsys.readouterr().out


def test_main_distils_from_the_bundled_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all((teacher, dataset) in RECIPES for (_, dataset), teacher in TEACHERS.items())
    recipe = Recipe(epochs=1, batch_size=256, learning_rate=0.05, warmup=0.5, distillation=0.9)
    monkeypatch.setitem(RECIPES, ("Plain20", "digits"), recipe)
    monkeypatch.setitem(TEACHERS, ("Plain20", "digits"), "ResNet56")
    main("Plain20", "digits", out=tmp_path, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(recipe.seed)
    model = models.build("Plain20", "digits")
    taught = bundled.load("ResNet56", "digits")
    train(model, digits().train, recipe, teacher=taught, progress=False)
    assert same(bundled.load("Plain20", "digits", tmp_path), model)
    # Another teacher makes it another run.
    monkeypatch.setitem(TEACHERS, ("Plain20", "digits"), "MobileNet")
    with pytest.raises(ValueError, match="belongs to another run: it differs in origin"):
        main("Plain20", "digits", out=tmp_path, checkpoint=tmp_path / "run.pt")
