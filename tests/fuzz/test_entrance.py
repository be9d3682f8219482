"""Thousands of generated calls: each succeeds and does its work, or names the wrong argument."""

from __future__ import annotations

import json

import pytest
from fuzz.calls import Argument, Target, fuzz, some
from fuzz.targets import TARGETS

PARTS = 8
CALLS = 500
"""Calls in each part; all 4,000 take half a minute on one core."""


@pytest.mark.filterwarnings("ignore")  # calls may warn, for instance of slow bf16
@pytest.mark.parametrize("part", range(PARTS))
def test_calls_are_accepted_or_name_what_is_wrong(part, record_property, monkeypatch):
    monkeypatch.delenv("AMC_DATA_ROOT", raising=False)
    counts = fuzz(TARGETS, CALLS, seed=part)
    assert not counts.broken, "\n".join(counts.broken)
    assert counts.calls == CALLS
    assert min(counts.accepted["all"], counts.refused["all"]) > CALLS / 5
    record_property("fuzz", json.dumps([counts.accepted, counts.refused]))


def _refuses(error: Exception | None):
    def call(size):
        if error is not None:
            raise error
        return size

    return call


@pytest.mark.parametrize(
    ("error", "argument", "message"),
    [
        (AttributeError("no size"), Argument(), "raised AttributeError"),
        (RuntimeError("size"), Argument(), "raised RuntimeError"),
        (OSError("size"), Argument(), "raised OSError"),
        (ValueError("something is wrong"), Argument(), "named none of"),
        (ValueError("the sizes"), Argument(), "named none of"),
        (ValueError("size"), Argument(right=some(lambda: 1)), "must be accepted"),
        (None, Argument(wrong=some(lambda: 1)), "must be refused"),
        (None, Argument(), "was accepted, but"),
    ],
)
def test_a_broken_contract_is_seen(error, argument, message):
    def check(found, given, rng):
        raise AssertionError

    target = Target(_refuses(error), lambda: {"size": 1}, {"size": argument}, check)
    counts = fuzz({"call": target}, 40, seed=0)
    assert any(message in broken for broken in counts.broken)


def test_an_error_that_names_the_argument_is_a_refusal():
    target = Target(
        _refuses(OSError("cannot read size")),
        lambda: {"size": 1},
        {"size": Argument(file=True)},
        lambda *_: None,
    )
    counts = fuzz({"call": target}, 10, seed=0)
    assert counts.broken == []
    assert counts.refused == {"all": 10, "call size": 10}
    assert "call size" in str(counts)
