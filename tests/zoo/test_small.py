"""The zoo of small networks: drawn alike each time."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from amc_gym.zoo import small
from amc_gym.zoo.small.families import FAMILIES


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
