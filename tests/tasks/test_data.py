"""Samples of data sets and loaders: several inputs, lists, and refusals of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from amc_gym import Samples, Split, objectives
from amc_gym.tasks.data import data_of

REGRESSION = objectives.regression()
DETECTION = objectives.detection()


class Items(Dataset):
    def __init__(self, *items) -> None:
        self.items = items

    def __getitem__(self, index):
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


def pairs(n: int = 5):
    return [
        ({"left": torch.full((2,), float(i)), "right": np.full(3, i)}, torch.tensor([float(i)]))
        for i in range(n)
    ]


def pictures(n: int = 5, sizes=(8, 10)):
    return [
        (
            torch.full((3, sizes[i % len(sizes)], 8), float(i)),
            {"boxes": torch.full((i, 4), float(i)), "labels": torch.full((i,), 1)},
        )
        for i in range(1, n + 1)
    ]


def together(batch):
    return tuple(zip(*batch, strict=True))


def test_nested_samples_of_a_data_set_are_stacked():
    for data in (Items(*pairs()), DataLoader(Items(*pairs()), batch_size=2), pairs()):
        found = data_of("reward", data, REGRESSION)
        assert isinstance(found, Samples)
        assert found.inputs["left"].tolist() == [[i, i] for i in range(5)]
        assert found.inputs["right"].shape == (5, 3)
        assert found.targets[:, 0].tolist() == [0, 1, 2, 3, 4]
        assert found.batch(torch.tensor([3, 1]))["left"][:, 0].tolist() == [3, 1]


def test_what_differs_from_sample_to_sample_stays_a_list():
    loaders = (
        Items(*pictures()),
        DataLoader(Items(*pictures()), batch_size=2, collate_fn=together),
        DataLoader(Items(*pictures()), batch_size=None),
    )
    for data in loaders:
        found = data_of("reward", data, DETECTION)
        assert [tuple(image.shape) for image in found.inputs] == [
            (3, 10 if i % 2 else 8, 8) for i in range(1, 6)
        ]
        assert [len(target["boxes"]) for target in found.targets] == [1, 2, 3, 4, 5]
        assert len(found.first(3)) == 3
        assert len(found.image_hashes) == 5
    same = data_of("reward", Items(*pictures(4, sizes=(8,))), DETECTION)
    assert same.inputs.shape == (4, 3, 8, 8)
    assert isinstance(same.targets, list)


def test_a_loaders_own_batches_are_taken_apart():
    def padded(batch):
        inputs, targets = zip(*batch, strict=True)
        return torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True), torch.stack(targets)

    items = [(torch.ones(3, 2) * i, torch.tensor(float(i))) for i in range(4)]
    loader = DataLoader(Items(*items), batch_size=3, collate_fn=padded)
    found = data_of("reward", loader, REGRESSION)
    assert found.inputs.shape == (4, 3, 2)
    assert found.targets.tolist() == [0, 1, 2, 3]


def test_images_to_be_classified_become_a_split_and_nests_do_not():
    images, labels = torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    assert isinstance(data_of("reward", (images, labels), objectives.classification()), Split)
    both = data_of("reward", ((images, images), labels), objectives.classification())
    assert isinstance(both, Samples)
    items = Items(*[((images[0], images[1]), 1)] * 3)
    assert data_of("reward", items, objectives.classification()).targets.tolist() == [1, 1, 1]


UNFIT = {
    "no pairs": (Items(torch.zeros(3)), r"items of the data set must be \(input, target\)"),
    "a text": (Items(("a", torch.zeros(1))), "must hold tensors or arrays of numbers"),
    "lengths": ((torch.zeros(3, 2), torch.zeros(2)), "as many targets as inputs"),
    "within": (((torch.zeros(3), torch.zeros(2)), torch.zeros(3)), "parts of 2, 3 samples"),
    "nothing": ((torch.zeros(0, 2), torch.zeros(0)), "must not be empty"),
    "NaN": ((torch.full((2, 2), torch.nan), torch.zeros(2)), "must be finite"),
    "statistics": ((torch.zeros(2, 3, 8, 8), torch.zeros(2), (0.5,) * 3, (1,) * 3), "mean and std"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_samples_are_refused(name):
    data, message = UNFIT[name]
    with pytest.raises((TypeError, ValueError), match=f"reward.*{message}"):
        data_of("reward", data, REGRESSION)


def test_samples_are_told_apart_by_structure_and_content():
    x, y = torch.arange(6.0).reshape(3, 2), torch.zeros(3)
    base = Samples({"a": x, "b": x}, y)
    for other in (
        Samples({"a": x, "c": x}, y),
        Samples((x, x), y),
        Samples({"a": x, "b": x}, y + 1),
        Samples({"a": x, "b": x.to(torch.int64)}, y),
    ):
        assert base.fingerprint != other.fingerprint
    assert base.fingerprint == Samples({"a": x.double().numpy(), "b": x}, y).fingerprint
    assert base.image_hashes == Samples({"a": x, "b": x}, y + 1).image_hashes
