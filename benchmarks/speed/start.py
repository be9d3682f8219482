"""Start-up times of programs: ``python -m benchmarks.speed.start``.

Every line is a program run in its own process, all of them in turn.  The reference is PyTorch
alone, which most of them import.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from amc_gym._utils.progress import counter
from benchmarks.reports.tables import markdown
from benchmarks.speed.report import report_table
from benchmarks.speed.timing import cpu_seconds

TORCH = "import torch"

PROGRAMS = {
    TORCH: ("-c", "import torch"),
    "import amc_gym": ("-c", "import amc_gym"),
    "import amc_gym, and a public name": ("-c", "import amc_gym; amc_gym.CompressionTask"),
    "amc-gym --version": ("-m", "amc_gym", "--version"),
    "amc-gym --help": ("-m", "amc_gym", "--help"),
    "amc-gym search --help": ("-m", "amc_gym", "search", "--help"),
    "amc-gym finetune --help": ("-m", "amc_gym", "finetune", "--help"),
}
"""Name of a timed program -> arguments of the interpreter."""


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        rounds: number of times each program is run.
        out: folder for start.md and start.json, if they are to be written.
    """

    rounds: int = 9
    out: Path | None = None


def main(options: Options) -> None:
    """Time programs that do little but start; ``--out`` writes the table."""
    cpu: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    wall: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with counter() as bar:
        task = bar.add_task("starting", total=options.rounds * len(PROGRAMS))
        for _ in range(options.rounds):
            for name, arguments in PROGRAMS.items():
                began, worked = time.perf_counter(), cpu_seconds()
                command = [sys.executable, *arguments]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                cpu[name].append(cpu_seconds() - worked)
                wall[name].append(time.perf_counter() - began)
                bar.advance(task)
    rows = []
    for name in PROGRAMS:
        ratio = np.median(np.array(cpu[name]) / cpu[TORCH])
        seconds = [f"{np.median(of[name]):.2f}" for of in (cpu, wall)]
        rows.append([name, *seconds, f"{min(wall[name]):.2f}", f"{ratio:.2f}"])
    header = ("", "CPU time, s", "elapsed, s", "least elapsed, s", "CPU time / that of PyTorch")
    where = f"Medians of {options.rounds} rounds by turns; ratios within rounds."
    out = options.out and options.out / "start"
    report_table("Starting", markdown(header, rows), where, out, {"cpu": cpu, "elapsed": wall})


if __name__ == "__main__":
    main(tyro.cli(Options))
