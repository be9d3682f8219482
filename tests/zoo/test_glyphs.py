"""Glyphs: the documented sizes, the same on every machine, and no image in two places."""

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
    # The zoo was trained on these: no other drawing may ever take over.
    assert splits.train.fingerprint.startswith("TRAIN")
    assert splits.test.fingerprint.startswith("TEST")


def test_more_training_images_leave_the_others_alone(splits) -> None:
    more = glyphs(resolution=20, train=4100)
    assert torch.equal(more.train.images[:4000], splits.train.images)
    assert more.test.fingerprint == splits.test.fingerprint
    other = glyphs(resolution=20, train=1000, seed=1)
    assert not other.test.image_hashes & splits.test.image_hashes


def test_letters_differ_and_are_whole() -> None:
    """No letter is cut off at its cell's edge, and none is drawn twice in a face."""
    atlas = torch.from_numpy(_atlas().copy())
    assert (
        len({letter.numpy().tobytes() for letter in atlas.flatten(0, 1)})
        == atlas[:, :, 0, 0].numel()
    )
    assert not atlas[:, :, [0, -1]].any()
    assert (atlas.flatten(2).amax(2) > 200).all()


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1000"):
        load("glyphs?train=10")
    with pytest.raises(ValueError, match="at least 16"):
        load("glyphs?resolution=8")
    assert "glyphs" in DATASETS
