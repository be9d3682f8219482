"""Comparison of the authors' code with ours: ``python -m benchmarks.speed.against_reference``.

Both compress one MobileNet-V1 of one weight file on one set of images by the same plans, on the
CPU.  Each has a process of its own and they take turns, episode by episode, so that a busy machine
slows both.  ``reference/problem.py`` describes the network and the images, ``reference/theirs.py``
what is replaced in the authors' code so that it runs here at all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

from amc_gym.cli.console import printer
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.compression.tracing import trace
from benchmarks.machine import described, machine, versions
from benchmarks.speed.reference.problem import Problem, Scale, load, make
from benchmarks.speed.reference.report import rows, show, write
from benchmarks.speed.reference.theirs import check_clone
from benchmarks.speed.reference.worker import Worker, WorkerError


def compare(
    reference: Path,
    size: int = Scale.size,
    width: float = Scale.width,
    classes: int = Scale.classes,
    reward_images: int = Scale.reward_images,
    calibration_batches: int = Scale.calibration_batches,
    batch_size: int = Scale.batch_size,
    points: int = Scale.points,
    episodes: int = Scale.episodes,
    threads: int = Scale.threads,
    precision: tuple[Literal["float32", "bf16"], ...] = ("float32", "bf16"),
    out: Path | None = None,
) -> None:
    """Compare the authors' code with ours: construction, episodes, memory, and equal accuracies.

    The defaults are those of the authors' search on ImageNet, with synthetic images, on one thread:
    about 15 minutes and 12 GB of memory.  Try --size 32 --width 0.25 --classes 10
    --calibration-batches 12 --reward-images 100 first, which takes seconds.

    Args:
        reference: A clone of https://github.com/mit-han-lab/amc.
        size: Height and width of the images, in pixels.
        width: Multiplier of MobileNet's channel counts.
        classes: Number of classes.
        reward_images: Images that every plan is evaluated on; the reference's own number is 3,000.
        calibration_batches: Batches that layers are re-fitted on.
        batch_size: Images per calibration batch, and per batch of the reference's evaluation.
        points: Sampled positions of a feature map for each calibration image.
        episodes: Episodes of each side, each with a different plan near half of the MACs.
        threads: Threads of each process.
        precision: Precisions of our side; bf16 is left out where the processor lacks it.
        out: Folder for against-reference.json, .csv and .md; by default they are only printed.
    """
    check_clone(reference)
    scale = Scale(
        size,
        width,
        classes,
        reward_images,
        calibration_batches,
        batch_size,
        points,
        episodes,
        threads,
    )
    precisions, notes = usable(precision)
    progress = Console(stderr=True)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="against-reference-") as temporary:
        folder = Path(temporary)
        progress.print("making the images and the network")
        make(folder, scale)
        problem = load(folder)
        results, agreement = _measure(problem, reference.resolve(), precisions, progress)
    document = {
        "title": _title(scale),
        "setting": asdict(scale),
        "machine": machine(),
        "versions": versions(),
        "reference": _commit(reference),
        "notes": [*notes, _where()],
        "original_accuracy": results["reference"]["construction"]["accuracy"],
        "results": results,
        "agreement": agreement,
    }
    table = rows(results, reward_images)
    # Wide enough for the tables where the output is a file.
    show(document, table, printer())
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write(out, document, table)


def _measure(
    problem: Problem, clone: Path, precisions: Sequence[str], progress: Console
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Return each side's answers, and the accuracies of each plan."""
    with ExitStack() as stack:
        workers = []
        for side in ("reference", *precisions):
            log = problem.folder / f"{side}.log"
            worker = Worker(problem.folder, side, clone, problem.scale.threads, log)
            stack.callback(worker.close)
            workers.append(worker)
        results: dict[str, Any] = {}
        for worker in workers:
            answer = worker("construct")
            progress.print(f"{worker.side}: constructed in {answer['seconds']:.1f} s")
            results[worker.side] = {"construction": answer, "episodes": []}
        for number, counts in enumerate(problem.plans):
            for worker in workers:
                answer = worker("episode", counts=counts)
                progress.print(f"{worker.side}: plan {number} in {answer['seconds']:.2f} s")
                results[worker.side]["episodes"].append(answer)
        samples = problem.folder / "samples.safetensors"
        by_side = {worker.side: worker for worker in workers}
        by_side["reference"]("samples", path=str(samples))
        fits = by_side[precisions[0]]("agree", path=str(samples))
    network, size = problem.network(), problem.scale.size
    cost = RESOURCES["macs"].of_channels(trace(network, torch.zeros(1, 3, size, size)))
    accuracies = []
    for number, counts in enumerate(problem.plans):
        accuracies.append(
            {
                "macs": cost.total(counts) / cost.full,
                "reference": results["reference"]["episodes"][number]["accuracy"],
                "classifier": fits["classifier"][number],
                "samples": fits["samples"][number],
                "own": results[precisions[0]]["episodes"][number]["accuracy"],
            }
        )
    return results, accuracies


def usable(precisions: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the precisions that the processor supports, and notes about the others.

    Raises:
        ValueError: the processor supports none of them.
    """
    chosen = list(dict.fromkeys(precisions))
    if "bf16" not in chosen or has_bf16("cpu"):
        return chosen, []
    chosen.remove("bf16")
    if not chosen:
        raise ValueError("this processor has no bf16 arithmetic: choose --precision float32")
    return chosen, ["bf16 is skipped: this processor only emulates it, some ten times slower"]


def _title(scale: Scale) -> str:
    calibration = f"{scale.calibration_batches} x {scale.batch_size} calibration images"
    return (
        f"MobileNet-V1 x {scale.width:g} at {scale.size} x {scale.size}, {calibration} x "
        f"{scale.points} positions, {scale.reward_images} reward images, "
        f"{scale.episodes} plans near half of the MACs, {scale.threads} thread(s)"
    )


def _where() -> str:
    where = described(machine())
    return f"{where}; " + ", ".join(f"{name} {version}" for name, version in versions().items())


def _commit(clone: Path) -> str:
    """Return the commit that a clone is at, or a text that says there is none."""
    command = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git clone"
    return done.stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (a side failed), 2 (bad input)."""
    try:
        tyro.cli(
            compare,
            prog="python -m benchmarks.speed.against_reference",
            args=sys.argv[1:] if arguments is None else arguments,
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
