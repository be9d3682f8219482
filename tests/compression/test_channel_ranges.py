"""Channels written as ranges: every ascending tuple is read back, and nothing else is read."""

import random

import pytest

from amc_gym.compression.channel_ranges import decode, encode


def listed(text: str) -> list[int]:
    return [channel for each in decode(text) for channel in each]


@pytest.mark.parametrize(
    ("channels", "text"),
    [
        ([0, 1, 2, 3, 5, 8, 9, 10], "0-3,5,8-10"),
        ([0], "0"),
        ([7], "7"),
        ([0, 1], "0-1"),
        ([0, 2, 3], "0,2-3"),
        ([3, 4, 6], "3-4,6"),
        ([10**15], str(10**15)),
    ],
)
def test_what_is_written(channels: list[int], text: str) -> None:
    assert encode(channels) == text
    assert listed(text) == channels


@pytest.mark.parametrize("seed", range(200))
def test_every_set_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    channels = sorted(rng.sample(range(rng.choice((4, 64, 1000))), rng.randint(1, 4)))
    thick = sorted(set(range(500)) - set(rng.sample(range(500), rng.randint(0, 499))))
    for each in (channels, thick):
        assert listed(encode(each)) == each


def test_neighbours_that_are_apart_are_read() -> None:
    assert listed("0-1,2-3,4") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("channels", [[], [1, 1], [2, 1], [-1], [-1, 0], [0.0], [True], ["1"]])
def test_what_is_no_ascending_channels_is_refused(channels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers|do not ascend|are none"):
        encode(channels)


def test_a_range_is_measured_without_listing_its_channels() -> None:
    (found,) = decode("0-999999999999999")
    assert len(found) == 10**15
