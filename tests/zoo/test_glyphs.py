"""Glyphs: the documented sizes, the same on every machine; no image is in two splits."""

from __future__ import annotations

import pytest
import torch

from amc_gym.zoo.datasets import load
from amc_gym.zoo.datasets.glyphs import LETTERS, _atlas, glyphs
from amc_gym.zoo.datasets.registry import DATASETS


@pytest.fixture(scope="module")
def splits():
    return load("glyphs?resolution=20")


def test_glyphs_have_the_documented_sizes(splits) -> None:
    parts = (splits.train, splits.calibration, splits.reward, splits.test)
    assert [len(part) for part in parts] == [4000, 1000, 500, 1000]
    assert splits.test.images.shape == (1000, 1, 20, 20)
    assert splits.classes == len(LETTERS)
    for part in (splits.train, splits.reward, splits.test):
        counts = torch.bincount(part.labels, minlength=len(LETTERS))
        assert counts.max() - counts.min() <= 1


def test_splits_share_no_image(splits) -> None:
    parts = (splits.train, splits.reward, splits.test)
    assert len(frozenset.union(*(part.image_hashes for part in parts))) == 5500
    assert splits.calibration.image_hashes <= splits.train.image_hashes


def test_glyphs_have_the_same_contents_on_every_machine(splits) -> None:
    # The zoo was trained on these images, so they must never change.
    assert splits.train.fingerprint.startswith("9c1ec8bb68c29776")
    assert splits.test.fingerprint.startswith("cea6fb2d435e907a")


def test_reward_and_test_images_depend_on_the_seed_alone(splits) -> None:
    more = glyphs(resolution=20, train=1000)
    assert more.test.fingerprint == splits.test.fingerprint
    assert more.reward.fingerprint == splits.reward.fingerprint
    other = glyphs(resolution=20, train=1000, seed=1)
    assert not other.test.image_hashes & (splits.test.image_hashes | splits.train.image_hashes)


def test_letters_of_a_face_differ_and_are_whole() -> None:
    """Check that no letter is missing or cut off at its cell's edge."""
    atlas = _atlas()
    for face in atlas:
        assert len({letter.tobytes() for letter in face}) == len(LETTERS)
    for edge in (atlas[:, :, [0, -1]], atlas[:, :, :, [0, -1]]):
        assert edge.mean() < 1
    assert (atlas.reshape(*atlas.shape[:2], -1).max(-1) > 200).all()


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1000"):
        load("glyphs?train=10")
    with pytest.raises(ValueError, match="at least 16"):
        load("glyphs?resolution=8")
    assert "glyphs" in DATASETS
