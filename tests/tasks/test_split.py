"""Splits: refusals of wrong images and labels, and batches of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2 as transforms

from amc_gym import CompressionTask
from amc_gym.compression.evaluation import evaluator
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.tasks.split import Split, stratified_order

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_stratified_order_keeps_proportions_in_every_prefix() -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    order = stratified_order(labels, seed=1)
    assert sorted(order) == list(range(100))
    for end in range(1, 101):
        counts = np.bincount(labels[order[:end]], minlength=3)
        assert np.abs(counts - end * np.array([0.6, 0.3, 0.1])).max() <= 1
    assert not np.array_equal(order, stratified_order(labels, seed=2))


def test_fingerprint_sees_images_labels_and_shape() -> None:
    images, labels = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    fingerprints = {
        Split(images, labels).fingerprint,
        Split(images + 1, labels).fingerprint,
        Split(images, labels + 1).fingerprint,
        Split(images.view(4, 2, 2, 1), labels).fingerprint,
    }
    assert len(fingerprints) == 4
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert Split(channels_last, labels).fingerprint == Split(images, labels).fingerprint


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(4, 2, 2), torch.zeros(4, dtype=torch.int64), "images must be"),
        (torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, dtype=torch.int64), "labels must be"),
        (torch.zeros(4, 1, 2, 2).double(), torch.zeros(4, dtype=torch.int64), "float32"),
        (torch.zeros(4, 1, 2, 2), torch.zeros(4), "int64"),
        (torch.zeros(4, 1, 2, 2), torch.zeros(3, dtype=torch.int64), "as many labels"),
        (torch.zeros(0, 1, 2, 2), torch.zeros(0, dtype=torch.int64), "empty"),
    ],
)
def test_malformed_splits_are_refused(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def random_bytes(n: int, seed: int, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3, size, size), dtype=np.uint8), rng.integers(0, 5, n)


def test_bytes_are_normalised_in_flight_as_torchvision_does() -> None:
    pixels, labels = random_bytes(10, seed=0)
    split = Split(pixels, labels, MEAN, STD)
    scaled = transforms.functional.to_dtype(split.images, torch.float32, scale=True)
    expected = transforms.functional.normalize(scaled, list(MEAN), list(STD))
    torch.testing.assert_close(split.batch(slice(3, 7)), expected[3:7])
    torch.testing.assert_close(split.batch(torch.tensor([9, 0])), expected[[9, 0]])
    batches = list(split.batches(4))
    assert [len(of) for _, of in batches] == [4, 4, 2]
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), expected)
    assert torch.equal(torch.cat([of for _, of in batches]), split.labels)
    assert split.images.dtype == torch.uint8


def test_floats_come_out_as_they_are_and_share_memory() -> None:
    images = torch.randn(6, 1, 2, 2)
    split = Split(images, torch.arange(6))
    assert split.batch(slice(2, 4)).data_ptr() == images[2:].data_ptr()
    assert split.first(4).images.data_ptr() == images.data_ptr()
    assert split.first(4).labels.tolist() == [0, 1, 2, 3]


def test_arrays_do_as_well_as_tensors() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(5, 1, 2, 2)), np.arange(5, dtype=np.int32)
    images.flags.writeable = False
    split = Split(images, labels)
    assert split.images.dtype == torch.float32
    assert split.labels.dtype == torch.int64
    assert split.fingerprint == Split(torch.tensor(images).float(), torch.arange(5)).fingerprint


def test_the_normalisation_is_part_of_the_fingerprint() -> None:
    pixels, labels = random_bytes(4, seed=0)
    assert (
        Split(pixels, labels, MEAN, STD).fingerprint != Split(pixels, labels, STD, STD).fingerprint
    )


@pytest.mark.parametrize(
    ("dtype", "mean", "std", "message"),
    [
        (np.uint8, None, None, r"for uint8 images pass their normalisation.*mean="),
        (np.uint8, MEAN, None, "std must have 3 numbers"),
        (np.uint8, (0.5,), STD, "mean must have 3 numbers"),
        (np.uint8, MEAN, (0.2, 0.0, 0.2), "std must be positive"),
        (np.float32, MEAN, STD, "only for uint8 images"),
        (np.int64, None, None, "images must be float32, or uint8, got torch.int64"),
    ],
)
def test_a_normalisation_that_does_not_fit_is_refused(dtype, mean, std, message) -> None:
    pixels, labels = random_bytes(4, seed=0)
    with pytest.raises(ValueError, match=message):
        Split(pixels.astype(dtype), labels, mean, std)


def test_a_task_is_made_of_arrays_and_evaluated_the_same_in_flight_and_resident(
    plain_stack, monkeypatch
) -> None:
    task = CompressionTask(
        plain_stack,
        (*random_bytes(300, 1), MEAN, STD),
        (*random_bytes(64, 2), MEAN, STD),
        (*random_bytes(64, 3), MEAN, STD),
    )
    counts = (6, 5, 4, 10)
    hits = {}
    for limit in (0, evaluator.RESIDENT_BYTES):
        monkeypatch.setattr(evaluator, "RESIDENT_BYTES", limit)
        made = Engine(engines.analysis(task), EngineOptions())
        hits[limit] = made.evaluator(counts)
        first, again = (next(iter(made.evaluator.batches))[0] for _ in range(2))
        assert (first is again) == (limit > 0)
    assert len(set(hits.values())) == 1


def test_an_image_is_found_again_as_bytes_and_as_floats(plain_stack) -> None:
    stored = Split(*random_bytes(40, 2), MEAN, STD)
    floats = Split(stored.batch(slice(40)), stored.labels)
    calibration = Split(*random_bytes(100, 1), MEAN, STD)
    for reward, test in ((stored, floats), (floats, stored)):
        with pytest.raises(ValueError, match="reward and test splits share 40 images"):
            CompressionTask(plain_stack, calibration, reward, test)
    assert repr(stored) == "Split(40 images of 3 x 8 x 8, torch.uint8)"
