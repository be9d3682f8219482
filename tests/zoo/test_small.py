"""The zoo of small networks: reproducible, as their cards say, found by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from small import same

import amc_gym
from amc_gym import CompressionPlan
from amc_gym.compression.cost import counted_macs
from amc_gym.training.scores import accuracy
from amc_gym.zoo import small
from amc_gym.zoo.datasets import load
from amc_gym.zoo.named_tasks import task_of
from amc_gym.zoo.resolving import resolve
from amc_gym.zoo.small import generator, store
from amc_gym.zoo.small.families import FAMILIES

CARDS = small.cards()


def test_a_name_is_always_the_same_network() -> None:
    member = small.draw("plain-digits-1")
    assert asdict(member) == asdict(small.draw("plain-digits-1"))
    assert member.architecture != small.draw("plain-digits-2").architecture
    assert {small.draw(f"plain-digits-{n}").split for n in range(4)} == {"train", "members"}
    assert small.draw("inverted-glyphs-0").split == "family"
    with pytest.raises(ValueError, match="did you mean 'plain'"):
        small.draw("plane-digits-1")


def test_names_come_in_an_order_that_may_end_anywhere() -> None:
    names = list(small.names(2))
    assert len(set(names)) == len(names) == 2 * 2 * len(FAMILIES)
    assert len(FAMILIES) >= 7
    assert {name.split("-")[0] for name in names[: len(FAMILIES)]} == set(FAMILIES)


def test_the_bundled_zoo_is_large_and_its_splits_are_what_they_say() -> None:
    assert len(CARDS) >= 60
    for name, card in CARDS.items():
        assert card.split == ("family" if card.family == generator.HELD_OUT else card.split)
        assert (card.split == "family") == (card.family == generator.HELD_OUT)
        assert name == f"{card.family}-{card.dataset.partition('?')[0]}-{card.seed}"
        assert card.uniform_loss >= 3
    for split in ("train", "members", "family"):
        data = {card.dataset.partition("?")[0] for card in CARDS.values() if card.split == split}
        assert data == {"digits", "glyphs"}
    trained_on = {card.family for card in CARDS.values() if card.split == "train"}
    assert trained_on == set(FAMILIES) - {generator.HELD_OUT}


@pytest.mark.parametrize("name", ["convnext-digits-0", "inverted-digits-0", "vgg-glyphs-0"])
def test_a_network_is_what_its_card_says(name: str) -> None:
    card, task = CARDS[name], resolve(name)
    assert task is resolve(name)
    assert not task.model.training
    assert task.preserve_ratio == card.preserve_ratio
    assert card.architecture == small.draw(name).architecture
    assert counted_macs(task.model, torch.zeros(1, *card.input_shape)) == card.macs
    assert sum(each.numel() for each in task.model.parameters()) == card.parameters
    splits = load(card.dataset)
    for part, claim in card.accuracy.items():
        split = getattr(splits, part)
        assert accuracy(task.model, split) == pytest.approx(claim.top1, abs=1.01 / len(split))
    for part, fingerprint in card.fingerprints.items():
        assert getattr(splits, part).fingerprint == fingerprint


def test_plans_and_files_name_a_small_network(tmp_path: Path) -> None:
    plan = amc_gym.search("vgg-digits-0", 1, progress=False)
    again = CompressionPlan.from_json(plan.to_json())
    task = task_of(again)
    assert task is resolve("vgg-digits-0")
    assert amc_gym.validate(task, again).ok
    path = amc_gym.export(amc_gym.compress(task, plan), task, tmp_path / "s.safetensors").path
    with torch.inference_mode():
        assert amc_gym.load(path)(task.example).shape == (1, 10)


def test_misspelt_names_are_refused_with_the_near_match() -> None:
    with pytest.raises(ValueError, match="did you mean 'plain-digits-0'"):
        resolve("plane-digits-0")
    with pytest.raises(ValueError, match="did you mean 'MobileNet'"):
        resolve("MobilNet")
    with pytest.raises(ValueError, match="leave out dataset='cifar10'"):
        resolve("plain-digits-0", dataset="cifar10")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Make a folder that holds one network of the zoo and lacks the others."""
    name = "plain-digits-0"
    store.put(tmp_path, name, CARDS[name], small.load(name))
    return tmp_path


def test_what_is_put_is_what_is_read(kept: Path) -> None:
    name = "plain-digits-0"
    assert same(store.load(name, kept), small.load(name))
    with pytest.raises(ValueError, match="no small network 'vgg-digits-0'"):
        store.load("vgg-digits-0", kept)
    store.put(kept, name, "it would not learn")
    found = store.read(kept)
    assert (found.networks, found.left_out) == ({}, {name: "it would not learn"})


def test_damaged_files_are_refused_by_name(kept: Path) -> None:
    weights = kept / store.WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(OSError, match=r"'plain-digits-0' .* does not match its card"):
        store.load("plain-digits-0", kept)
    weights.write_bytes(content[:100])
    with pytest.raises(OSError, match="cannot read 'plain-digits-0'"):
        store.load("plain-digits-0", kept)
    cards = json.loads((kept / store.CARDS).read_text())
    cards["networks"]["plain-digits-0"]["split"] = "all"
    (kept / store.CARDS).write_text(json.dumps(cards))
    with pytest.raises(OSError, match=r"cards\.json are damaged"):
        store.read(kept)
