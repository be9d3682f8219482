"""Episodes per second on a GPU: ``python -m benchmarks.speed.gpu``.

MobileNet and ResNet50 at 224 x 224 on random images with random weights, in every precision and at
several batch sizes, with the share of the device's peak that a pass reaches: two operations for
each multiply-accumulate, against the best large matrix product of that precision on the same
device in the same run.  Then whole episodes of new plans, one environment and eight in lock-step.

It needs a CUDA device for figures worth reading; ``--device cpu`` with small numbers runs the same
code.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console

from amc_gym import CompressionTask, Split
from amc_gym._utils.files import replacing_text, write_json, write_whole
from amc_gym.compression.evaluation.evaluator import PRECISIONS
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.engine.cache import engines
from amc_gym.envs.factory import make_vector_env
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.zoo import models
from benchmarks.machine import machine, versions
from benchmarks.reports.tables import markdown
from benchmarks.speed.cases import seeded
from benchmarks.speed.timing import channels_last, elapsed

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's: images are kept as bytes and normalised in flight, as real ones are."""


@dataclass(frozen=True)
class Options:
    """Measurements; they need a CUDA device for figures worth reading.

    Attributes:
        device: where; figures are worth reading on "cuda".
        networks: names of registered networks that have a setting for ImageNet.
        reward_images: numbers of reward images.
        precisions: of the weights; all that the package knows by default.
        batch_sizes: of passes.  Episodes take the environment's own.
        environments: numbers of environments in lock-step.
        episodes: of each environment; every plan is new.
        size: height and width of the images.
        calibration: images; 1 x 1 convolutions of I inputs are re-fitted from I / 5 on.
        product: rows and columns of the matrices whose product tells the peak.
        out: folder for gpu.csv, gpu.md and gpu.json, if anything is to be written.
    """

    device: str = "cuda"
    networks: tuple[str, ...] = ("MobileNet", "ResNet50")
    reward_images: tuple[int, ...] = (3_000, 10_000)
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    batch_sizes: tuple[int, ...] = (64, 128, 256, 512, 1024)
    environments: tuple[int, ...] = (1, 8)
    episodes: int = 5
    size: int = 224
    calibration: int = 410
    product: int = 8192
    out: Path | None = None


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: "pass" of a network at a batch size, or "episodes" of environments in lock-step.
        n: the batch size, or the number of environments.
        per_second: passes or episodes.
        images_per_second: forward passes of single images.
        peak_share: operations over those of the best matrix product in the same time.
    """

    network: str
    reward_images: int
    precision: str
    what: str
    n: int
    per_second: float
    images_per_second: float
    peak_share: float


def peak(device: torch.device, precision: str, size: int) -> float:
    """Operations per second of the best of ten products of ``size`` x ``size`` matrices."""
    one, other = torch.randn(2, size, size, device=device).to(PRECISIONS[precision])
    torch.mm(one, other)
    seconds = min(elapsed(device, partial(torch.mm, one, other)) for _ in range(10))
    return 2 * size**3 / seconds


def measure(options: Options) -> Iterator[Figure]:
    """All figures, as they come in."""
    device = torch.device(options.device)
    peaks = {p: peak(device, p, options.product) for p in options.precisions}
    for network in options.networks:
        for images in options.reward_images:
            task = _task(network, images, options)
            for precision in options.precisions:
                common = (network, images, precision)
                for what, n, rate, macs in _rates(task, precision, device, options):
                    share = rate * images * 2 * macs / peaks[precision]
                    yield Figure(*common, what, n, rate, rate * images, share)


def _rates(
    task: CompressionTask, precision: str, device: torch.device, options: Options
) -> Iterator[tuple[str, int, float, float]]:
    """Yield (what, n, how many per second, MACs of an image) of a task in one precision."""
    engines.clear()  # the last one's images make room
    rng, like = np.random.default_rng(0), {"device": options.device, "precision": precision}
    for n in options.environments:
        envs = make_vector_env(n, task, **like)
        _play(envs, rng)  # what only the first episodes do
        seconds, spent = 0.0, []
        for _ in range(options.episodes):
            seconds += elapsed(device, partial(_play, envs, rng))
            spent += [plan.measured.macs for plan in envs.plans if plan is not None]
        yield "episodes", n, len(spent) / seconds, sum(spent) / len(spent)
    envs = make_vector_env(1, task, **like)
    _play(envs, rng)
    (plan,) = envs.plans
    assert plan is not None
    network = envs.engine.evaluator.network(plan.counts)
    for size in options.batch_sizes:
        batches = [
            (channels_last(images.to(device, PRECISIONS[precision])), labels.to(device))
            for images, labels in task.reward.batches(size)
        ]
        run = partial(count_hits, network, batches)
        run()
        seconds = min(elapsed(device, run) for _ in range(3))
        yield "pass", size, 1 / seconds, plan.measured.macs
        del run, batches  # before the next ones are put beside them


def _play(envs: AMCVectorEnv, rng: np.random.Generator) -> None:
    envs.reset()
    for _ in envs.engine.graph.units:
        envs.step(rng.random((envs.num_envs, 1), dtype=np.float32))


def _task(network: str, reward: int, options: Options) -> CompressionTask:
    """Return a registered network as for ImageNet, on random bytes."""
    draw = torch.Generator().manual_seed(0)
    splits = [
        Split(
            torch.randint(
                256, (n, 3, options.size, options.size), dtype=torch.uint8, generator=draw
            ),
            torch.randint(1000, (n,), generator=draw),
            MEAN,
            STD,
        )
        for n in (options.calibration, reward, 8)
    ]
    setting = models.variant(network, "imagenet")
    model = seeded(lambda: models.build(network, "imagenet")).to(options.device).eval()
    return CompressionTask(
        model,
        *splits,
        preserve_ratio=setting.preserve_ratio,
        channel_multiple=setting.channel_multiple,
    )


def name_of(device: str) -> str:
    """Name of the device in tables."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(machine()["cpu"])


def write(figures: Sequence[Figure], options: Options, out: Path) -> None:
    """gpu.csv, gpu.md and gpu.json."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [asdict(figure) for figure in figures]
    with replacing_text(out / "gpu.csv") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    device = name_of(options.device)
    document = {"device": device, "machine": machine(), "versions": versions(), "figures": rows}
    write_json(out / "gpu.json", document)
    lines = [f"# Episodes per second on {device}", ""]
    lines += [f"Images of {options.size} x {options.size}, random; torch {torch.__version__}.", ""]
    cells = [
        [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        for row in rows
    ]
    lines += markdown(list(rows[0]), cells)
    write_whole(out / "gpu.md", "\n".join(lines) + "\n")


def main(options: Options) -> None:
    """Measures and prints each figure as it comes; ``--out`` writes them.

    Needs a CUDA device for figures worth reading.
    """
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "no CUDA device here; --device cpu with small numbers runs the same code, as in "
            "--device cpu --size 32 --reward-images 16 --batch-sizes 8 --calibration 8"
        )
    console = Console(soft_wrap=True)
    console.print(f"[bold]{name_of(options.device)}")
    figures = []
    for figure in measure(options):
        figures.append(figure)
        console.print(
            f"{figure.network} {figure.reward_images} images {figure.precision} {figure.what} "
            f"{figure.n}: {figure.per_second:.3g}/s, {figure.peak_share:.1%} of the peak"
        )
    if options.out is not None:
        write(figures, options, options.out)


if __name__ == "__main__":
    main(tyro.cli(Options))
