"""CIFAR-10 from an archive: its splits are disjoint and seeded, its errors clear."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from amc_gym.zoo.datasets import load
from amc_gym.zoo.datasets.cifar10 import MEAN, STD

COUNTS = {"train": 60, "val": 30, "test": 20}


def write(folder: Path, **changes: np.ndarray | None) -> Path:
    """Write an archive of COUNTS images, each of which holds its own number."""
    arrays: dict[str, np.ndarray] = {}
    start = 0
    for part, count in COUNTS.items():
        numbers = np.arange(start, start + count)
        arrays[f"{part}_images"] = np.broadcast_to(
            numbers[:, None, None, None].astype(np.uint8), (count, 32, 32, 3)
        )
        arrays[f"{part}_labels"] = (numbers % 10)[:, None]  # MedMNIST's labels are (N, 1)
        start += count
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(folder / "cifar10.npz", **arrays)
    return folder


def numbers(split) -> set[int]:
    return set(split.images[:, 0, 0, 0].tolist())


def test_the_archives_splits_are_disjoint_and_seeded(tmp_path: Path) -> None:
    splits = load("cifar10", write(tmp_path))
    assert numbers(splits.train) == set(range(60))
    assert numbers(splits.calibration) <= numbers(splits.train)
    assert numbers(splits.reward) < set(range(60, 90))
    assert numbers(splits.test) == set(range(60, 110)) - numbers(splits.reward)
    assert splits.reward.images.shape == (15, 3, 32, 32)
    assert splits.classes == 10
    for split in (splits.train, splits.reward, splits.test):
        assert torch.equal(split.labels, split.images[:, 0, 0, 0].long() % 10)
        assert (split.mean, split.std) == (MEAN, STD)
    assert load("cifar10", str(tmp_path)) is splits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": None}, "has no 'val_images'; it holds train_images"),
        ({"test_images": np.zeros((20, 3, 32, 32), np.uint8)}, "test_images must be uint8"),
        ({"test_images": np.zeros((20, 32, 32, 3))}, r"not float64 \(20, 32, 32, 3\)"),
        ({"train_labels": np.zeros(7, int)}, "with N labels.*with 7"),
        ({"train_labels": np.full(60, 10)}, "classes from 0 to 9"),
    ],
)
def test_an_archive_with_something_else_in_it_is_refused(tmp_path, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        load("cifar10", write(tmp_path, **changes))


def test_objects_in_an_archive_are_not_unpickled(tmp_path: Path) -> None:
    write(tmp_path, val_labels=np.array([{}] * 30))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load("cifar10", tmp_path)


def test_a_truncated_archive_is_damaged(tmp_path: Path) -> None:
    archive = write(tmp_path) / "cifar10.npz"
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(OSError, match=r"damaged.*copy it again"):
        load("cifar10", tmp_path)


def test_without_files_the_error_names_both_places_and_the_download(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"not there.*cifar10\.npz or the official.*download=yes"):
        load("cifar10", tmp_path)


def test_damaged_official_files_are_told_from_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"not a batch")
    with pytest.raises(OSError, match="damaged"):
        load("cifar10", tmp_path)


@pytest.mark.skipif("AMC_DATA_ROOT" not in os.environ, reason="AMC_DATA_ROOT is not set")
def test_the_real_archive() -> None:
    splits = load("cifar10")
    sizes = [len(s) for s in (splits.train, splits.calibration, splits.reward, splits.test)]
    assert sizes == [45_000, 3_000, 2_000, 4_000]
    assert splits.reward.labels.bincount().tolist() == pytest.approx([200] * 10, abs=20)
    hashes = [split.image_hashes for split in (splits.train, splits.reward, splits.test)]
    assert not hashes[1] & hashes[2]
    assert not hashes[0] & (hashes[1] | hashes[2])
