"""Verification: the units that make a slim network differ are found in few runs."""

from __future__ import annotations

import pytest

from amc_gym.compression.tracing.verification import culprits


@pytest.mark.parametrize("wrong", [set(), {0}, {31}, {3, 4, 20}, set(range(32))])
def test_units_that_differ_alone_are_found(wrong):
    runs = []

    def problem(units):
        runs.append(list(units))
        return "differs" if wrong & {*units} else ""

    assert culprits(range(32), problem) == dict.fromkeys(sorted(wrong), "differs")
    assert len(runs) <= min(1 + 2 * 5 * len(wrong), 63)


def test_of_units_that_differ_only_together_some_stay_whole():
    found = culprits(range(8), lambda units: "tied" if {1, 6} <= {*units} else "")
    assert 6 in found
    assert 1 not in found
