"""Data sets and loaders as splits, and errors for those that cannot be splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import images
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import amc_gym
from amc_gym import CompressionTask, Split
from amc_gym.tasks import collecting, limits
from amc_gym.tasks.collecting import split_of

GIVEN = images(70, 5)


class Pairs(Dataset):
    """A data set whose items a function makes from their index."""

    def __init__(self, item, n=70) -> None:
        self.item, self.n = item, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index):
        return self.item(index)


class Untyped:
    """A map-style data set that does not inherit from torch's."""

    def __len__(self) -> int:
        return 70

    def __getitem__(self, index):
        return GIVEN.images[index].numpy().astype(np.float64), int(GIVEN.labels[index])


class Stream(IterableDataset):
    def __iter__(self):
        yield GIVEN.images[0], 1


tensors = TensorDataset(GIVEN.images, GIVEN.labels)
shuffled = DataLoader(tensors, batch_size=16, shuffle=True, drop_last=True)

ACCEPTED = {
    "split": GIVEN,
    "pair": (GIVEN.images, GIVEN.labels),
    "list": [GIVEN.images, GIVEN.labels],
    "arrays": (GIVEN.images.numpy(), GIVEN.labels.numpy().astype(np.uint8)),
    "short labels": (GIVEN.images, GIVEN.labels.to(torch.int32)),
    "nested lists": (GIVEN.images.tolist(), GIVEN.labels.tolist()),
    "parameter": (torch.nn.Parameter(GIVEN.images), GIVEN.labels),
    "data set": tensors,
    "untyped": Untyped(),
    "list of items": [(GIVEN.images[i], int(GIVEN.labels[i])) for i in range(70)],
    "subset": Subset(tensors, range(70)),
    "loader": DataLoader(tensors, batch_size=32),
    "shuffled loader": shuffled,
    "loader without batches": DataLoader(tensors, batch_size=None),
    "batch sampler": DataLoader(tensors, batch_sampler=[[5, *range(5)], range(6, 70)]),
    "workers": DataLoader(tensors, batch_size=32, num_workers=1, multiprocessing_context="fork"),
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_data_in_any_form_becomes_the_same_split(data):
    state = torch.get_rng_state()
    split = split_of("calibration", data)
    assert torch.equal(split.images, GIVEN.images)
    assert torch.equal(split.labels, GIVEN.labels)
    assert split.images.dtype == torch.float32
    assert split.labels.dtype == torch.int64
    assert split.fingerprint == GIVEN.fingerprint
    assert type(split.images) is torch.Tensor
    assert not split.images.requires_grad
    assert torch.equal(torch.get_rng_state(), state)  # the user's generator draws as before


def test_a_sampler_selects_and_the_order_stays():
    some = DataLoader(tensors, sampler=SubsetRandomSampler([9, 3, 60]))
    assert torch.equal(split_of("test", some).images, GIVEN.images[[3, 9, 60]])


def test_a_task_and_fine_tuning_take_loaders(plain_stack):
    parts = [TensorDataset(s.images, s.labels) for s in (images(80, 1), images(30, 2))]
    task = CompressionTask(
        plain_stack,
        calibration=DataLoader(parts[0], batch_size=32, shuffle=True),
        reward=parts[1],
        test=images(30, 3),
    )
    same = CompressionTask(plain_stack, images(80, 1), images(30, 2), images(30, 3))
    assert task.fingerprint == same.fingerprint
    plan = amc_gym.search(task, 2, progress=False)
    recipe = amc_gym.Recipe(1, 20, 0.05, schedule="cosine")
    tuned = amc_gym.finetune(task, plan, DataLoader(parts[0]), recipe, progress=False)
    again = amc_gym.finetune(task, plan, images(80, 1), recipe, progress=False)
    torch.testing.assert_close(tuned(task.example), again(task.example))
    assert amc_gym.accuracy(tuned, parts[1]) == amc_gym.accuracy(tuned, images(30, 2))


def test_random_transforms_are_said_and_drawn_the_same_each_time():
    def item(index):
        return GIVEN.images[index] + torch.rand(3, 1, 1) + np.random.rand(), 1

    with pytest.warns(UserWarning, match=r"calibration.*at random \(augmentation\)"):
        one = split_of("calibration", Pairs(item))
    torch.manual_seed(77)
    np.random.seed(77)
    with pytest.warns(UserWarning, match="at random"):
        other = split_of("calibration", Pairs(item))
    assert one.fingerprint == other.fingerprint


def good(index):
    return GIVEN.images[index], 1


def broken(index):
    raise KeyError("no such file")


REFUSED = {
    "stream": (Stream(), TypeError, "test cannot be read in a fixed order from Stream"),
    "loader of a stream": (DataLoader(Stream()), TypeError, "cannot be read in a fixed order"),
    "generator": (iter([1]), TypeError, "cannot be read in a fixed order"),
    "none": (None, TypeError, "test must be a Split.*not None"),
    "number": (3, TypeError, "test must be a Split"),
    "string": ("digits", TypeError, "not the string 'digits'"),
    "mapping": ({"images": GIVEN.images}, TypeError, "test must be a Split"),
    "images alone": (GIVEN.images, TypeError, "not a tensor of shape"),
    "class": (TensorDataset, TypeError, "not the class TensorDataset"),
    "empty": (TensorDataset(GIVEN.images[:0]), ValueError, "must not be empty"),
    "empty tuple": ((), ValueError, "must not be empty"),
    "nothing selected": (DataLoader(tensors, sampler=[]), ValueError, "must not be empty"),
    "with replacement": (
        DataLoader(tensors, sampler=WeightedRandomSampler(torch.ones(70), 70)),
        ValueError,
        "draws with replacement",
    ),
    "images only": (TensorDataset(GIVEN.images), ValueError, r"must be \(image, label\)"),
    "dictionaries": (
        Pairs(lambda i: {"pixel_values": GIVEN.images[i], "label": 1}),
        ValueError,
        "not dict with pixel_values, label: wrap",
    ),
    "no tensors": (Pairs(lambda i: (object(), 1)), ValueError, "cannot be read.*ToTensor"),
    "shapes differ": (
        Pairs(lambda i: (torch.zeros(3, 8, 8 + i), 1)),
        ValueError,
        "cannot be read.*one shape.*Resize",
    ),
    "bytes": (
        Pairs(lambda i: (torch.zeros(3, 8, 8, dtype=torch.uint8), 1)),
        ValueError,
        "gives bytes: end its transform with ToTensor and Normalize",
    ),
    "grey without channel": (
        Pairs(lambda i: (torch.zeros(8, 8), 1)),
        ValueError,
        r"must be \(C, H, W\) tensors",
    ),
    "one-hot": (Pairs(lambda i: (GIVEN.images[i], torch.eye(5)[0])), ValueError, "labels of the"),
    "float labels": (Pairs(lambda i: (GIVEN.images[i], 1.0)), ValueError, "labels of the data set"),
    "failing": (Pairs(broken), ValueError, r"cannot be read \(KeyError: 'no such file'\)"),
    "nan": (Pairs(lambda i: (GIVEN.images[i] / 0, 1)), ValueError, "image 0 holds NaN"),
    "absurd": (
        Pairs(lambda i: (torch.zeros(1).expand(3, 20_000, 20_000), 1), n=10**6),
        ValueError,
        r"1,000,000 images would take 4\.8 PB.*Subset",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("data", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_split_is_refused_by_name(data, kind, message):
    with pytest.raises(kind, match=message) as caught:
        split_of("test", data)
    assert str(caught.value).startswith("test")


def test_long_reads_show_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(collecting, "PATIENCE", -1)
    split_of("reward", tensors)
    assert "reading reward" in capsys.readouterr().err
    monkeypatch.setattr(collecting, "PATIENCE", 60)
    split_of("reward", tensors)
    assert capsys.readouterr().err == ""


def test_what_fits_depends_on_the_free_memory(monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 2 * GIVEN.images.nbytes)
    assert len(split_of("reward", tensors)) == 70
    monkeypatch.setattr(limits, "free_memory", lambda: 2 * GIVEN.images.nbytes - 2)
    with pytest.raises(ValueError, match="reward: 70 images would take"):
        split_of("reward", tensors)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.full((4, 1, 2, 2), torch.nan),
            torch.zeros(4, dtype=torch.int64),
            "image 0 holds NaN",
        ),
        (torch.zeros(4, 1, 2, 2, device="meta"), torch.zeros(4, dtype=torch.int64), "meta device"),
        (torch.zeros(4, 1, 2, 2).to_sparse(), torch.zeros(4, dtype=torch.int64), "dense"),
        (torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.bool), "labels must be int64"),
        (torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.complex64), "labels must be int64"),
        ([[1, 2], [3]], [0, 1], "images cannot be converted to an array"),
    ],
)
def test_more_malformed_splits_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_the_broken_image_is_named_wherever_it_is():
    bad = images(200, 1).images
    bad[170, 0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="image 170 holds NaN or infinity"):
        Split(bad, torch.zeros(200, dtype=torch.int64))


@pytest.mark.parametrize("images", [None, "images", [object()], {}, b"images"])
def test_what_is_no_array_is_a_type_error(images):
    with pytest.raises(TypeError, match="images must be a tensor or an array of numbers"):
        Split(images, [0])


@pytest.mark.parametrize("mean", [0.5, "abc", [None] * 3, [True] * 3])
def test_a_normalisation_of_a_wrong_type_is_named(mean):
    with pytest.raises(TypeError, match="mean"):
        Split(np.zeros((2, 3, 4, 4), np.uint8), [0, 1], mean, (1, 1, 1))


def test_a_normalisation_may_be_any_numbers():
    split = Split(np.zeros((2, 3, 4, 4), np.uint8), [0, 1], torch.zeros(3), np.ones(3, np.float32))
    assert split.mean == (0.0, 0.0, 0.0)
    assert all(type(value) is float for value in (split.mean or ()) + (split.std or ()))
    with pytest.raises(ValueError, match="std must be a finite number, not nan"):
        Split(np.zeros((2, 3, 4, 4), np.uint8), [0, 1], (0, 0, 0), (1, np.nan, 1))


def test_flipped_and_foreign_arrays_are_read():
    pixels = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    flipped = Split(pixels[:, ::-1].astype(">f4")[:, ::-1], [0, 1, 2, 3])
    torch.testing.assert_close(flipped.images, torch.tensor(pixels, dtype=torch.float32))


def test_splits_must_agree_in_shape(plain_stack):
    with pytest.raises(
        ValueError, match=r"test images are \(3, 9, 9\) and the reward images \(3, 8"
    ):
        CompressionTask(plain_stack, images(20, 1), images(20, 2), images(20, 3, size=9))


@pytest.mark.parametrize("n", [0, -1, True, "3"])
def test_first_takes_at_least_one(n):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        GIVEN.first(n)
