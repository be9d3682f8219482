"""Digits: the splits' sizes and contents; no image is in two of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import amc_gym
from amc_gym import CompressionPlan
from amc_gym.envs.factory import make_env
from amc_gym.envs.rules import largest
from amc_gym.tasks.split import Split
from amc_gym.zoo.datasets import load
from amc_gym.zoo.datasets.digits import _digits, digits, digits_partition

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_digits_have_the_documented_sizes() -> None:
    splits = digits()
    assert (len(splits.train), len(splits.reward), len(splits.test)) == (897, 400, 500)
    assert splits.reward.images.shape == (400, 1, 16, 16)
    assert digits(8).test.images.shape == (500, 1, 8, 8)


def test_digits_partition_covers_every_image_once() -> None:
    _, target = load_digits(return_X_y=True)
    parts = digits_partition(target)
    assert sorted(np.concatenate(parts)) == list(range(1797))


def test_digits_splits_share_no_image() -> None:
    splits = digits()
    # All 1,797 images differ, so equal contents would mean the same image.
    assert len(rows(splits.train) | rows(splits.reward) | rows(splits.test)) == 1797
    assert rows(splits.calibration) <= rows(splits.train)


def test_digits_pair_images_with_their_own_labels() -> None:
    pixels, target = load_digits(return_X_y=True)
    label_of = {row.tobytes(): label for row, label in zip(pixels, target, strict=True)}
    test = digits(8).test
    restored = (test.images.double() * 6 + 5).round().flatten(1).numpy()
    assert [label_of[row.tobytes()] for row in restored] == test.labels.tolist()


def test_digits_are_stratified() -> None:
    splits = digits()
    parts = (splits.train, splits.reward, splits.test)
    total = torch.bincount(torch.cat([part.labels for part in parts]))
    for part in parts:
        share = total * len(part) / 1797
        assert (torch.bincount(part.labels) - share).abs().max() < 2


def test_digits_are_normalised() -> None:
    images = digits(8).train.images
    assert images.mean().item() == pytest.approx(0, abs=0.05)
    assert images.std().item() == pytest.approx(1, abs=0.05)


def test_digits_are_loaded_once_and_always_the_same() -> None:
    first = digits()
    assert digits(resolution=16) is first
    assert load("digits") is first
    _digits.cache_clear()
    again = digits()
    assert again is not first
    assert again.reward.fingerprint == first.reward.fingerprint


def test_digits_have_the_same_contents_on_every_machine() -> None:
    # The bundled weights were trained on this split, so it must never change.
    assert digits().train.fingerprint.startswith("4f6f7f1a5d1930f1")
    assert digits().reward.fingerprint.startswith("c89186c1334888c8")
    assert digits().test.fingerprint.startswith("924bda6367743813")


def test_resolution_has_a_lower_bound() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        digits(4)


def test_the_default_budget_tells_agents_apart() -> None:
    """Check that uniform loses at least 5 points of accuracy, the best known plan at most 2."""
    env = make_env("MobileNet")
    full = env.engine.evaluator(env.engine.graph.full).score
    uniform = env.engine.evaluator(largest(env.budget)).score
    plan = CompressionPlan.load(RESULTS / "search-digits" / "plan.json")
    assert amc_gym.validate(env.task, plan).ok
    assert plan.measured.macs <= 0.2 * env.engine.costs["macs"].full
    assert full - uniform >= 0.05
    assert full - plan.measured.accuracy <= 0.02
