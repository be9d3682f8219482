"""Construction, candidate build, evaluation and peak memory of each registered network.

Times are CPU time on one thread, with a process for each network.  "imagenet" networks have their
full size but get random images of 64 x 64 and random weights: the cost to build a candidate depends
on neither.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from amc_gym.registration import IDS
from benchmarks.speed import tables
from benchmarks.speed.conftest import Row

SCRIPT = """
import json, sys, time
from statistics import median
import numpy, torch, torchvision
torch.set_num_threads(1)

def peak():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3

before = peak()
from amc_gym import CompressionTask
from amc_gym.envs.factory import make_env
from amc_gym.zoo import models
from benchmarks.speed.yardstick import yardstick_seconds

network, size = sys.argv[1:]
images = 400
task, options = network, {"dataset": "digits", "weights": "random"}
if size == "imagenet":
    # Enough calibration images that 1 x 1 convolutions of 1,024 inputs are re-fitted.
    draw = torch.Generator().manual_seed(0)
    splits = [
        (torch.randn(n, 3, 64, 64, generator=draw), torch.randint(1000, (n,), generator=draw))
        for n in (210, 50, 20)
    ]
    images = 50
    task, options = CompressionTask(models.build(network, "imagenet").eval(), *splits), {}
began = time.process_time()
env = make_env(task, preserve_ratio=None, **options)
construction = time.process_time() - began
peak_MB = peak() - before
plain = make_env(task, preserve_ratio=None, recovery="none", **options)
rng, select, build, evaluation = numpy.random.default_rng(0), [], [], []
for _ in range(12):
    counts = tuple(
        unit.blocks * int(rng.integers(max(1, c // unit.blocks // 5), c // unit.blocks + 1))
        for unit, c in zip(env.engine.graph.units, env.budget.channels)
    )
    began = time.process_time()
    plain.engine.evaluator.network(counts)
    select.append(time.process_time() - began)
    began = time.process_time()
    env.engine.evaluator.network(counts)
    build.append(time.process_time() - began)
    began = time.process_time()
    env.engine.evaluator(counts)
    evaluation.append(time.process_time() - began)
print(json.dumps({
    "units": len(env.budget.channels),
    "construction_s": construction,
    "select_ms": 1e3 * median(select),
    "build_ms": 1e3 * median(build),
    "evaluation_ms": 1e3 * median(evaluation),
    "images": images,
    "memory_MB": peak_MB,
    "yardstick_s": yardstick_seconds(),
}))
"""

ROWS = [
    *((name, "digits") for name in IDS.values()),
    ("MobileNet", "imagenet"),
    ("ResNet50", "imagenet"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize(("network", "size"), ROWS)
def test_network(network: str, size: str, row: Row) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, network, size]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    row(tables.FORWARD, f"{network} ({size})", figures)
