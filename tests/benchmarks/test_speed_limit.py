"""The limit of speed: a bare forward pass, and how it is timed."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch

from amc_gym.compression.evaluation.hits import count_hits
from benchmarks.speed import timing
from benchmarks.speed.cases import CASES, synthetic
from benchmarks.speed.limit import in_fresh_process, measure, wanted
from benchmarks.speed.runtimes import RUNTIMES, pays_after
from benchmarks.speed.timing import BarePass, Spread, channels_last, plans, play


@pytest.fixture(scope="module")
def bare() -> BarePass:
    env = CASES["MobileNet digits"].env(recovery="none")
    play(env, next(plans(env)))
    return BarePass(env)


def test_the_bare_pass_computes_what_the_evaluator_does(bare: BarePass) -> None:
    env = bare._env
    hits = count_hits(bare.warm(), bare.batches)
    assert hits.images == env.engine.reward_images
    judged = env.engine.evaluator(env.plan.counts)
    assert hits.top1 == pytest.approx(judged.score * judged.images, abs=2)


@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns about itself
@pytest.mark.parametrize("runtime", ["ONNX Runtime"])
def test_a_runtime_runs_the_batches_it_was_built_for(bare: BarePass, runtime: str) -> None:
    RUNTIMES[runtime](bare.network(), bare.batches)(bare.batches)


def test_the_fastest_batch_size_is_found(monkeypatch: pytest.MonkeyPatch, bare: BarePass) -> None:
    def passes(_function, _network, batches):
        return abs(len(batches[0][1]) - 100) + 50.0 + next(noise)  # best at 100 images

    noise = itertools.cycle([9.0, 0.0, 20.0, 5.0])

    monkeypatch.setattr(timing, "timed", passes)
    assert BarePass(bare._env).size == 100


def test_no_plan_is_played_twice(bare: BarePass) -> None:
    drawn = list(itertools.islice(plans(bare._env), 5))
    assert drawn[0].shape == (len(bare._env.engine.graph.units), 1)
    assert len({actions.tobytes() for actions in drawn}) == 5


def test_grey_images_are_really_channels_last() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert channels_last(images).stride() == (16, 1, 4, 1)
    assert channels_last(images).equal(images)


def test_cpu_time_leaves_sleep_out() -> None:
    torch.set_num_threads(1)
    assert timing.timed(time.sleep, 0.2) < 0.1


def test_a_spread_is_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(2.0, 3.0, 4.0, 5)


def test_a_short_pass_may_be_exceeded_by_more() -> None:
    assert wanted(49.0) == 1.3
    assert wanted(51.0) == 1.1


def test_building_pays_after_its_time_is_saved() -> None:
    assert pays_after(10.0, own=3.0, other=1.0) == 5.0
    assert pays_after(10.0, own=1.0, other=1.0) == float("inf")


def test_measured_ratios_come_with_their_number_of_plans() -> None:
    figures = measure("MobileNet digits", seconds=0.0)
    assert figures["plans"] == 4
    low, high = map(float, figures["quartiles"].split("-"))
    assert low <= float(np.float32(figures["episode"])) * 1.01
    assert figures["episode"] <= high * 1.01
    assert figures["episode"] > 0.5


def test_nothing_is_measured_where_threads_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.speed.limit.threads_gain", lambda threads: 0.5)
    assert measure("MobileNet digits", threads=2) == {"threads": 2, "parallel": 0.5}
    assert torch.get_num_threads() == 1


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such case"):
        in_fresh_process("no such case", 1, 1.0)


def test_synthetic_tasks_are_the_same_each_time() -> None:
    made = [
        synthetic(
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)),
            size=2,
            classes=3,
            reward=4,
            calibration=4,
        )
        for _ in range(2)
    ]
    assert made[0].reward.images.equal(made[1].reward.images)
