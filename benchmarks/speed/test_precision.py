"""Effects of bf16 on the ranking of plans by reward, on the rewards, and on the time."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from amc_gym.zoo import bundled
from amc_gym.zoo.datasets import DATA_ROOT
from benchmarks.speed import tables
from benchmarks.speed.conftest import Row
from benchmarks.speed.timing import plans, play, timed

PLANS = 40
CORRELATION = 0.99
"""Target for the rank correlation of the rewards in both precisions."""

CASES = {"MobileNet digits": ("MobileNet", "digits", None)} | {
    f"{network} CIFAR-10": (network, "cifar10", 100) for network in ("Plain20", "ResNet56")
}
"""Title -> network, data set, reward images; networks are trained, as random ones rank nothing."""


@pytest.mark.parametrize("case", CASES)
def test_precision(case: str, row: Row) -> None:
    network, dataset, images = CASES[case]
    try:
        bundled.find(network, dataset)
    except ValueError as error:
        pytest.skip(str(error))
    if dataset != "digits" and not Path(os.environ.get(DATA_ROOT, ""), f"{dataset}.npz").is_file():
        pytest.skip(f"no {dataset}.npz in the folder that {DATA_ROOT} names")
    own_arithmetic = has_bf16("cpu")
    if own_arithmetic:
        images = None
    envs: list[AMCEnv] = []
    for precision in ("float32", "bf16"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bf16 is slow here, which is what is measured
            options = {"dataset": dataset, "reward_images": images, "device": "cpu"}
            envs.append(make_env(network, precision=precision, **options))
    actions = plans(envs[0])
    play(envs[0], next(actions))
    play(envs[1], next(actions))
    rewards, seconds = [], []
    for _ in range(PLANS):
        played = next(actions)
        seconds.append([timed(play, env, played) for env in envs])
        rewards.append([env.plan.measured.accuracy for env in envs])
    changes = np.abs(np.subtract(*np.transpose(rewards)))
    found: Any = spearmanr(*np.transpose(rewards))
    float32, bf16 = (1e3 * median(each) for each in zip(*seconds, strict=True))
    row(
        tables.PRECISION,
        case,
        {
            "arithmetic": "yes" if own_arithmetic else "no, emulated",
            "images": envs[0].engine.reward_images,
            "plans": PLANS,
            "correlation": f"{found.statistic:.4f}",
            "wanted": f"≥ {CORRELATION}",
            "met": tables.yes(found.statistic >= CORRELATION),
            "mean": f"{changes.mean():.4f}",
            "largest": f"{changes.max():.4f}",
            "float32_ms": float32,
            "bf16_ms": bf16,
            "ratio": bf16 / float32,
        },
    )
