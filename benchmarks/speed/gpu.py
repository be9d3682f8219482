"""Plans per second on a GPU: ``python -m benchmarks.speed.gpu``.

Networks at their real sizes on random images with random weights are evaluated both as slim
networks and resident (``evaluation``), in every precision.  Timed are whole episodes of new plans,
in one environment and in eight in lock-step; many plans requested at once, as a population-based
search does; and forward passes at several batch sizes.  Each figure comes with its share of the
device's peak: two operations for each multiply-accumulate (those of the full network where it is
resident), relative to the fastest large matrix product in that precision on the same device in the
same run.  The same episodes on the processor, on fewer images, and a profile of one evaluation
follow.

Meaningful figures need a CUDA device; ``--device cpu`` with small numbers runs the same code.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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
"""Of ImageNet: images are kept as bytes and normalised on the fly, as real ones are."""

WANTED = {
    ("MobileNet imagenet", "episodes"): 0.15,
    ("ResNet50 imagenet", "episodes"): 0.5,
    ("ResNet56 cifar10", "episodes"): 0.01,
    ("ResNet56 cifar10", "plans"): 0.002,
    ("MobileNet digits", "plans"): 0.0003,
}
"""Target seconds per plan on an H100, resident in the best precision."""

SIZES = {"imagenet": (3, None, 1000), "cifar10": (3, 32, 10), "digits": (1, 16, 10)}
"""Data set -> channels of its images, their height (None: an option), and classes."""


@dataclass(frozen=True)
class Options:
    """Options of the measurements; meaningful figures need a CUDA device.

    Attributes:
        device: device to measure; figures are meaningful on "cuda".
        networks: names of registered networks, each with the data set whose setting it has.
        reward_images: number of reward images, for each network.
        evaluations: kinds of evaluation.
        precisions: precisions of the weights; by default all that the package knows.
        batch_sizes: batch sizes of passes.  Episodes use the environment's own.
        environments: numbers of environments in lock-step, where plans are evaluated resident.
        plans: numbers of plans requested at once, for small images, resident.
        episodes: episodes of each environment; every plan is new.
        slim_episodes: episodes with slim networks, in one environment only: on a GPU each takes
            seconds.
        processor_images: images that one plan is evaluated on by the processor; 0: skip it.
        size: height and width of the images, where the data set is ImageNet.
        calibration: calibration images; 1 x 1 convolutions of I inputs are re-fitted from I / 5 on.
        product: rows and columns of the matrices whose product measures the peak.
        out: folder for gpu.csv, gpu.md, gpu.json and profiles, if they are to be written.
    """

    device: str = "cuda"
    networks: tuple[str, ...] = tuple(dict.fromkeys(network for network, _ in WANTED))
    reward_images: tuple[int, ...] = (3_000, 3_000, 2_000, 400)
    evaluations: tuple[str, ...] = ("resident", "slim")
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    batch_sizes: tuple[int, ...] = (128, 512)
    environments: tuple[int, ...] = (1, 8)
    plans: int = 64
    episodes: int = 5
    slim_episodes: int = 2
    processor_images: int = 128
    size: int = 224
    calibration: int = 410
    product: int = 8192
    out: Path | None = None


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        network: name of the network, with its data set.
        what: "pass" of a network at a batch size, "episodes" of environments in lock-step, or
            "plans" requested at once.
        n: the batch size, or the number of environments or plans.
        seconds: time of a pass or plan.
        images_per_second: throughput in single images.
        peak_share: operations relative to those of the fastest matrix product in the same time.
        wanted: target seconds of a plan on an H100; ``None`` if there is none.
    """

    network: str
    reward_images: int
    device: str
    evaluation: str
    precision: str
    what: str
    n: int
    seconds: float
    images_per_second: float
    peak_share: float
    wanted: float | None = None


def peak(device: torch.device, precision: str, size: int) -> float:
    """Measure operations per second: the best of ten products of ``size`` x ``size`` matrices."""
    one, other = torch.randn(2, size, size, device=device).to(PRECISIONS[precision])
    torch.mm(one, other)
    seconds = min(elapsed(device, partial(torch.mm, one, other)) for _ in range(10))
    return 2 * size**3 / seconds


def measure(options: Options) -> Iterator[Figure]:
    """Yield all figures as they are measured."""
    device = torch.device(options.device)
    peaks = {p: peak(device, p, options.product) for p in options.precisions}
    for network, images in zip(options.networks, options.reward_images, strict=True):
        task = _task(network, images, options)
        for evaluation in options.evaluations:
            for precision in options.precisions:
                case = _Case(network, task, device, evaluation, precision, options)
                common = (network, images, options.device, evaluation, precision)
                for what, n, seconds, macs in case.measured():
                    share = images * 2 * macs / seconds / peaks[precision]
                    wanted = WANTED.get((network, what))
                    yield Figure(*common, what, n, seconds, images / seconds, share, wanted)
        if options.processor_images:
            yield _processor(network, task, options)


def _processor(network: str, task: CompressionTask, options: Options) -> Figure:
    """Return the figure of one plan on the processor, slim in float32, on fewer images."""
    cpu, n = torch.device("cpu"), min(options.processor_images, len(task.reward))
    one = replace(options, slim_episodes=1, batch_sizes=())
    case = _Case(network, task, cpu, "slim", "float32", one, reward_images=n)
    ((what, environments, seconds, macs),) = case.measured()
    share = n * 2 * macs / seconds / peak(cpu, "float32", min(options.product, 2048))
    common = (network, n, "cpu", "slim", "float32", what, environments)
    return Figure(*common, seconds, n / seconds, share)


class _Case:
    """One task with one kind of evaluation in one precision.

    Args:
        network: name of the network and of its data set.
        task: task to compress.
        device: device to run on.
        evaluation: kind of evaluation.
        precision: precision of the weights.
        options: extent of the measurements.
        others: further options of the environments.
    """

    def __init__(
        self,
        network: str,
        task: CompressionTask,
        device: torch.device,
        evaluation: str,
        precision: str,
        options: Options,
        **others: int,
    ) -> None:
        self._task, self._device, self._options = task, device, options
        self._dtype, self._resident = PRECISIONS[precision], evaluation == "resident"
        like = {"device": str(device), "precision": precision, "evaluation": evaluation}
        self._make = partial(make_vector_env, **like, **others)
        self._small = SIZES[network.split()[1]][1] is not None
        self._name = "-".join([*network.split(), str(device), evaluation, precision])
        self._rng = np.random.default_rng(0)

    def measured(self) -> Iterator[tuple[str, int, float, float]]:
        """Yield (what, n, seconds of each, MACs of an image)."""
        options = self._options
        for n in options.environments if self._resident else (1,):
            envs = self._make(n, self._task)
            _play(envs, self._rng)  # one-time costs of first episodes
            seconds, spent = 0.0, []
            for _ in range(options.episodes if self._resident else options.slim_episodes):
                seconds += elapsed(self._device, partial(_play, envs, self._rng))
                spent += [self._macs(envs, i) for i in range(n)]
            yield "episodes", n, seconds / len(spent), sum(spent) / len(spent)
        envs = self._make(1, self._task)
        _play(envs, self._rng)
        if self._resident and self._small:
            yield "plans", options.plans, self._together(envs), envs.engine.costs["macs"].full
        for size in options.batch_sizes:
            yield "pass", size, *self._pass(envs, size)
        if options.out is not None:
            _profile(envs, self._device, options.out / f"profile-{self._name}.txt")

    def _together(self, envs: AMCVectorEnv) -> float:
        """Return seconds per plan of those requested at once: the best of three times."""
        units, engine = envs.engine.graph.units, envs.engine
        spent = []
        for _ in range(1 + 3):  # the first time captures the pass
            shares = self._rng.random((self._options.plans, len(units)))
            channels = np.array([unit.channels // unit.blocks for unit in units])
            blocks = np.array([unit.blocks for unit in units])
            plans = [
                tuple(row) for row in (blocks * np.ceil(shares * channels)).astype(int).tolist()
            ]
            spent.append(elapsed(self._device, partial(engine.evaluate, plans)))
        return min(spent[1:]) / self._options.plans

    def _macs(self, envs: AMCVectorEnv, i: int) -> float:
        plan = envs.plans[i]
        assert plan is not None
        return envs.engine.costs["macs"].full if self._resident else plan.measured.macs

    def _pass(self, envs: AMCVectorEnv, size: int) -> tuple[float, float]:
        """Return seconds of the best of three passes over all images, and MACs of an image."""
        plan = envs.plans[0]
        assert plan is not None
        network, n = envs.engine.evaluator.network(plan.counts), envs.engine.reward_images
        batches = [
            (channels_last(images.to(self._device, self._dtype)), labels.to(self._device))
            for images, labels in self._task.reward.first(n).batches(size)
        ]
        run = partial(count_hits, network, batches)
        run()
        return min(elapsed(self._device, run) for _ in range(3)), self._macs(envs, 0)


def _profile(envs: AMCVectorEnv, device: torch.device, path: Path) -> None:
    """Profile one more evaluation, kernel by kernel."""
    (plan, *_) = envs.plans
    assert plan is not None
    envs.engine.evaluator.forget()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities += [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        envs.engine.evaluator(plan.counts)
    order = f"self_{device.type}_time_total"
    table = profile.key_averages().table(sort_by=order, row_limit=30)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, table + "\n")


def _play(envs: AMCVectorEnv, rng: np.random.Generator) -> None:
    envs.reset()
    for _ in envs.engine.graph.units:
        envs.step(rng.random((envs.num_envs, 1), dtype=np.float32))


def _task(network: str, reward: int, options: Options) -> CompressionTask:
    """Return a registered network for a data set, on random bytes."""
    engines.clear()  # frees the images of the previous one
    name, dataset = network.split()
    channels, size, classes = SIZES[dataset]
    size = size or options.size
    draw = torch.Generator().manual_seed(0)
    splits = [
        Split(
            torch.randint(256, (n, channels, size, size), dtype=torch.uint8, generator=draw),
            torch.randint(classes, (n,), generator=draw),
            MEAN[:channels],
            STD[:channels],
        )
        for n in (options.calibration, reward, 8)
    ]
    setting = models.variant(name, dataset)
    model = seeded(lambda: models.build(name, dataset)).to(options.device).eval()
    return CompressionTask(
        model,
        *splits,
        preserve_ratio=setting.preserve_ratio,
        channel_multiple=setting.channel_multiple,
    )


def name_of(device: str) -> str:
    """Return the name of the device in tables."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(machine()["cpu"])


def write(figures: Sequence[Figure], options: Options, out: Path) -> None:
    """Write gpu.csv, gpu.md and gpu.json."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [asdict(figure) for figure in figures]
    with replacing_text(out / "gpu.csv") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    device = name_of(options.device)
    document = {"device": device, "machine": machine(), "versions": versions(), "figures": rows}
    write_json(out / "gpu.json", document)
    lines = [f"# Seconds of a plan on {device}", ""]
    lines += [f"Images of {options.size} x {options.size}, random; torch {torch.__version__}.", ""]
    cells = [[_cell(cell) for cell in row.values()] for row in rows]
    lines += markdown(list(rows[0]), cells)
    write_whole(out / "gpu.md", "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def main(options: Options) -> None:
    """Measure and print each figure as it comes; ``--out`` writes them.

    Meaningful figures need a CUDA device.
    """
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "no CUDA device; --device cpu with small numbers runs the same code, as in "
            "--device cpu --networks 'MobileNet imagenet' --size 32 --reward-images 16 "
            "--batch-sizes 8 --calibration 8"
        )
    console = Console(soft_wrap=True)
    console.print(f"[bold]{name_of(options.device)}")
    figures = []
    for figure in measure(options):
        figures.append(figure)
        console.print(
            f"{figure.network} {figure.reward_images} images, {figure.device} {figure.evaluation} "
            f"{figure.precision}, {figure.what} of {figure.n}: {figure.seconds:.3g} s, "
            f"{figure.peak_share:.1%} of the peak"
        )
    if options.out is not None:
        write(figures, options, options.out)


if __name__ == "__main__":
    main(tyro.cli(Options))
