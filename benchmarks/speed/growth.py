"""Scaling of an episode's time: ``python -m benchmarks.speed.growth``.

Writes growth.csv, growth.md and growth.png: CPU time of an episode on one thread against the
number of reward images, the depth and the width of the network, and the number of environments,
split into

* forward: the pass of the slim network over the reward images, kernels compiled,
* build: making that network, including the least-squares products,
* steps: everything else of an episode, measured when its plan is repeated and its reward cached,
* new shapes: the rest, which is the time oneDNN takes to compile kernels for new shapes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import tyro
from rich.console import Console

from amc_gym._utils.files import replacing_text, write_whole
from amc_gym.compression.evaluation.evaluator import Evaluator
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.envs.factory import make_vector_env
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.zoo import models
from benchmarks.machine import machine
from benchmarks.reports.tables import markdown
from benchmarks.speed.cases import cifar10, mobilenet, seeded, synthetic
from benchmarks.speed.growth_figure import PARTS, draw
from benchmarks.speed.timing import plans, timed

OUT = Path("runs/speed")


@dataclass(frozen=True)
class Point:
    """Median milliseconds of CPU time of an episode and its parts; see the module's docstring.

    Attributes:
        axis: the quantity that varies.
        x: its value.
        plans: number of plans that the medians are over.
    """

    axis: str
    x: float
    plans: int
    episode: float
    forward: float
    build: float
    steps: float
    new_shapes: float


AXES: dict[str, tuple[str, tuple[float, ...]]] = {
    "reward images": ("Plain20, 32 x 32", (50, 100, 200, 400, 800)),
    "layers": ("CIFAR ResNets, 200 images of 32 x 32", (8, 14, 20, 32, 56)),
    "width": ("MobileNet, 48 images of 64 x 64", (0.25, 0.5, 0.75, 1.0, 1.5)),
    "environments": ("MobileNet digits, per episode", (1, 2, 4, 8, 16)),
}
"""Quantity that varies -> task, and values that it takes."""


def envs_of(axis: str, x: float) -> AMCVectorEnv:
    """Return the environments of a point: one, unless their number is what varies."""
    if axis == "environments":
        return make_vector_env(int(x), "MobileNet", device="cpu")
    if axis == "reward images":
        task = cifar10("Plain20", reward=int(x))
    elif axis == "layers":
        network = seeded(lambda: models.CifarResNet(int(x)))
        task = synthetic(network, size=32, classes=10, reward=200, calibration=210)
    else:
        task = mobilenet(width=x, reward=48, size=64)
    return make_vector_env(1, task, device="cpu")


def measure(axis: str, x: float, n: int) -> Point:
    """Play new plans in lock-step, and split the time of their episodes into parts.

    Args:
        axis: a name in ``AXES``.
        x: a value of it.
        n: least number of plans; it is rounded up to whole rounds of all environments.
    """
    envs = envs_of(axis, x)
    evaluator, episodes = envs.engine.evaluator, _rounds(envs)
    evaluator.forget()  # environments of one task share their cache
    _play(envs, next(episodes))  # one-time costs of first episodes
    rows: list[tuple[float, ...]] = []
    for _ in range(-(-n // envs.num_envs)):
        actions = next(episodes)
        episode = timed(_play, envs, actions) / envs.num_envs
        steps = timed(_play, envs, actions) / envs.num_envs
        parts = [_apart(evaluator, plan.counts) for plan in envs.plans if plan is not None]
        build, forward = (sum(part) / len(parts) for part in zip(*parts, strict=True))
        rows.append((episode, forward, build, steps, episode - forward - build - steps))
    medians = (1e3 * median(figures) for figures in zip(*rows, strict=True))
    return Point(axis, x, len(rows) * envs.num_envs, *medians)


def _rounds(envs: AMCVectorEnv) -> Iterator[np.ndarray]:
    """Yield actions of new random episodes, (units, environments, 1)."""
    streams = [plans(env, seed) for seed, env in enumerate(envs.envs)]
    while True:
        yield np.stack([next(stream) for stream in streams], axis=1)


def _play(envs: AMCVectorEnv, actions: np.ndarray) -> None:
    envs.reset()
    for action in actions:
        envs.step(action)


def _apart(evaluator: Evaluator, counts: Sequence[int]) -> tuple[float, float]:
    """Return seconds to build the network of a plan, and seconds of its forward pass."""
    build = timed(evaluator.network, counts)
    return build, timed(count_hits, evaluator.network(counts), evaluator.batches)


def write_table(points: Sequence[Point], out: Path) -> None:
    """Write growth.csv and growth.md."""
    names = list(asdict(points[0]))
    with replacing_text(out / "growth.csv") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(asdict(point).values() for point in points)
    lines = [
        "# What an episode's time grows with",
        "",
        "Milliseconds of CPU time, one thread, medians over plans that are each played once; "
        f"{machine()['cpu']}, torch {torch.__version__}. `python -m benchmarks.speed.growth` "
        "writes this; its docstring says what the parts are.",
    ]
    for axis, (subject, _) in AXES.items():
        mine = [point for point in points if point.axis == axis]
        lines += ["", f"## Against {axis} ({subject})", ""]
        rows = []
        for point in mine:
            times = [point.episode, *(getattr(point, part) for part in PARTS)]
            cells = [f"{point.x:g}", *(f"{ms:.1f}" for ms in times)]
            cells += [f"{point.forward / point.episode:.0%}", str(point.plans)]
            rows.append(cells)
        header = [axis, "episode", *PARTS.values(), "forward, %", "plans"]
        lines += markdown(header, rows, words=0)
    write_whole(out / "growth.md", "\n".join(lines) + "\n")


def main(out: Path = OUT, n: int = 8) -> None:
    """Measure, and write the table and the picture.

    Args:
        out: folder for growth.csv, growth.md and growth.png.
        n: least number of plans at each point.
    """
    if n < 1:
        raise SystemExit(f"--n must be at least 1, not {n}")
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    points = []
    for axis, (_, values) in AXES.items():
        for x in values:
            points.append(measure(axis, x, n))
            Console(stderr=True).print(f"{axis} {x:g}: {points[-1].episode:.1f} ms")
    write_table(points, out)
    draw(points, AXES, out / "growth.png")
    Console().print(f"written: {out}/growth.csv, growth.md, growth.png")


if __name__ == "__main__":
    tyro.cli(main)
