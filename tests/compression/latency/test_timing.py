"""Interleaved timing, on a clock that moves only while a pass runs."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
import torch

from amc_gym._utils.machine import cores
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.timing import LatencyError, Timing, measure

UNEVEN = (2_000_000, 2_000_000, 9_000_000, 9_000_000)
"""Times in ns, of which every other timed pass is long, as an untimed one precedes each."""


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def work(self, *ns: int) -> Callable[[], None]:
        """Make a pass that takes these times, one after the other, again and again."""
        calls = 0

        def run() -> None:
            nonlocal calls
            self.now += ns[calls % len(ns)]
            calls += 1

        return run


def test_every_pass_has_its_time_and_short_ones_are_repeated() -> None:
    clock, rounds = Clock(), []
    passes = {"long": clock.work(3_000_000), "short": clock.work(1_000)}
    timings = measure(passes, rounds=4, clock=clock, on_round=rounds.append)
    assert timings["long"].median == 3_000_000
    assert timings["short"].median == 1_000
    assert len(timings["short"].rounds) == 4
    assert rounds == [1, 2, 3, 4]
    # 5 passes warm up, then come 4 rounds: one pass untimed, and passes for a millisecond.
    assert clock.now == pytest.approx(13 * 3_000_000 + 9 * 1_000 + 4 * 1_000_000)


def test_passes_are_timed_by_turns() -> None:
    order: list[str] = []
    clock = Clock()

    def named(name: str) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            clock.now += 2_000_000

        return run

    measure({"a": named("a"), "b": named("b")}, rounds=3, clock=clock)
    assert "".join(order[-12:]) == "aabb" * 3


def test_refilling_the_cache_after_other_passes_is_not_timed() -> None:
    clock, last = Clock(), ""

    def named(name: str) -> Callable[[], None]:
        def run() -> None:
            nonlocal last
            clock.now += 2_000_000 if last == name else 7_000_000
            last = name

        return run

    timings = measure({"a": named("a"), "b": named("b")}, rounds=3, clock=clock)
    assert [timing.median for timing in timings.values()] == [2_000_000, 2_000_000]


@pytest.mark.parametrize("ns", [0, -5, 4 * 3600 * 10**9])
def test_a_clock_that_goes_wrong_is_refused(ns: int) -> None:
    clock = Clock()
    with pytest.raises(LatencyError, match="the clock says"):
        measure({"a": clock.work(ns)}, rounds=3, clock=clock)


def test_a_noisy_machine_is_told_so_with_the_spread_seen() -> None:
    clock = Clock()
    passes = {"a": clock.work(*UNEVEN)}
    with pytest.raises(LatencyError, match=r"too noisy .* spreads over 1\d\d% of their median"):
        measure(passes, rounds=16, clock=clock)
    clock = Clock()
    assert measure({"a": clock.work(*UNEVEN)}, rounds=16, clock=clock, noisiest=2)


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was three times as slow in one round: the ratio is the same in all.
    slow, fast = Timing(np.array([4.0, 12.0, 4.2])), Timing(np.array([2.0, 6.0, 2.1]))
    assert slow.ratio(fast) == (2.0, 2.0, 2.0)
    assert slow.quartiles == (4.1, 8.1)
    assert slow.spread == pytest.approx(4.0 / 4.2)


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        measure({}, rounds=2)


def test_threads_are_pinned_and_given_back() -> None:
    threads, before = torch.get_num_threads(), os.sched_getaffinity(0)
    with pinned(1):
        assert torch.get_num_threads() == 1
        assert len(os.sched_getaffinity(0)) == 1
    assert torch.get_num_threads() == threads
    assert os.sched_getaffinity(0) == before
    for wrong in (0, cores() + 1):
        with pytest.raises(ValueError, match="threads must be from 1 to"), pinned(wrong):
            pass
    assert os.sched_getaffinity(0) == before
