"""Best plans of a study, judged image by image: top-1 and top-5, with intervals over images.

    python -m benchmarks.best_plans FOLDER

Records say how many images a plan has right by the metric that was searched for.  This command
builds each plan once more and says which images those are, so that intervals and differences to
the uniform plan need no more than a file.  Plans that are judged already stay so.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tyro.conf import Positional

import amc_gym
from amc_gym import CompressionTask, Split
from amc_gym._utils import documents
from amc_gym._utils.documents import Schema, Seconds, Share
from amc_gym._utils.files import replacing_text, write_json, write_whole
from amc_gym.cli.console import printer
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.recovery import chain
from benchmarks.arguments import run_command
from benchmarks.finetuning.outcomes import Bits, BitsSchema
from benchmarks.finetuning.paired import Difference, difference
from benchmarks.machine import described
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.execution import task_of
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError

FULL, UNIFORM = "full network", "uniform"

UNDER = " under "
"""What comes between an agent and the recovery that its plan is judged under once more."""

SPLITS = ("reward", "test")

COLUMNS = (
    "agent",
    "runs",
    "evaluations",
    "seconds each",
    "MACs %",
    "reward, top-1 %",
    "test, top-1 %",
    "test, top-5 %",
    "reward, to uniform",
    "test, to uniform",
)


class JudgedSchema(Schema):
    """A ``Judged`` in a file."""

    agent: str
    macs_ratio: Share
    evaluations: int
    seconds: Seconds
    right: dict[str, BitsSchema]


@dataclass(frozen=True)
class Judged:
    """The best plan of a run, or the full network.

    Attributes:
        agent: that found it.
        macs_ratio: its MACs as a share of the full network's.
        evaluations: that the run spent.
        seconds: of the run.
        right: which images it has right, by split and metric, as in "test top5".
    """

    agent: str
    macs_ratio: float
    evaluations: int
    seconds: float
    right: Mapping[str, Bits]

    @classmethod
    def read(cls, path: Path) -> Judged:
        """Read what ``judge`` wrote.

        Raises:
            DocumentError: it is something else.
        """
        content = documents.read(path)
        documents.check(JudgedSchema, content)
        right = {name: Bits(**bits) for name, bits in content.pop("right").items()}
        return cls(**content, right=right)


def judge(folder: Positional[Path], recoveries: tuple[str, ...] = ()) -> int:
    """Judge the best plan of each finished run: best-plans.md and .csv, and files for each plan.

    The plans themselves are written to plans/, for `amc-gym bench-latency` and the like.

    Args:
        folder: The results folder, as it was named by --out of run.
        recoveries: Plans are judged under each of these as well, besides that of the search.
    """
    for recovery in recoveries:
        chain(recovery)
    records, _ = Store(folder).load()
    if not records:
        raise BenchmarkError(f"no finished runs in {folder}: there is nothing to judge")
    if len({record.run.setting.digest for record in records}) > 1:
        raise BenchmarkError(f"{folder} holds runs of several settings: judge them apart")
    setting = records[0].run.setting
    task = task_of(setting.env, setting.kwargs)
    if task.fingerprint != setting.task:
        raise BenchmarkError(
            "the weights or images here are not those of the study: name its own, or run it again"
        )
    if not isinstance(task.test, Split):
        raise BenchmarkError("plans are judged by top-1 and top-5: the task must tell classes")
    for name in ("best-plans", "plans"):
        (folder / name).mkdir(exist_ok=True)
    for record in records:
        record.best.plan.save(folder / "plans" / f"{record.run.name}.json")
    full = _judged(folder / "best-plans" / "full.json", task)
    found = [
        _judged(folder / "best-plans" / f"{record.run.name}.images.json", task, record)
        for record in records
    ]
    for recovery in recoveries:
        for record in records:
            path = folder / "best-plans" / f"{record.run.name}.{recovery}.images.json"
            found.append(_judged(path, task, record, recovery))
    _write(folder, [full, *found], records, task)
    return 0


def _judged(
    path: Path, task: CompressionTask, record: Record | None = None, recovery: str | None = None
) -> Judged:
    """Return what a file says, or judge a plan and write it."""
    if path.exists():
        return Judged.read(path)
    if record is None:
        made = Judged(FULL, 1.0, 0, 0.0, _right(task.model, task))
    else:
        network = amc_gym.compress(task, record.best.plan, recovery)
        made = Judged(
            record.run.label if recovery is None else record.run.label + UNDER + recovery,
            record.best.macs_ratio,
            record.evaluations,
            round(record.seconds, 3),
            _right(network, task),
        )
    write_json(path, asdict(made))
    return made


def _right(network: nn.Module, task: CompressionTask, size: int = 16) -> dict[str, Bits]:
    """Return which images a network has right; batches are small, as suits photographs."""
    found = {}
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for name in SPLITS:
        split, hits = getattr(task, name), []
        with torch.inference_mode():
            for images, labels in split.batches(size):
                logits = network(images.contiguous(memory_format=torch.channels_last))
                best = logits.topk(min(5, logits.shape[1])).indices
                hits.append((best == labels[:, None]).cpu().numpy())
        ranks = np.concatenate(hits)
        for metric, top in METRICS.items():
            packed = np.packbits(ranks[:, :top].any(1)).tobytes().hex()
            found[f"{name} {metric}"] = Bits(len(split), packed, split.fingerprint)
    return found


def _write(
    folder: Path, judged: Sequence[Judged], records: Sequence[Record], task: CompressionTask
) -> None:
    rows, lines = [], []
    for agent in dict.fromkeys(each.agent for each in judged):
        mine = [each for each in judged if each.agent == agent]
        uniform = UNIFORM + "".join(agent.partition(UNDER)[1:])
        cells, numbers = _row(agent, mine, [each for each in judged if each.agent == uniform])
        rows.append(cells)
        lines.append(numbers)
    setting = records[0].run.setting
    sizes = " and ".join(f"{len(getattr(task, name)):,} {name}" for name in SPLITS)
    notes = (
        f"{sizes} images. Plans are built once more and judged before any training; several runs "
        "of an agent are averaged. In brackets the 95 % interval of a bootstrap over images and "
        "runs, for differences in points with the same images for both sides, under one recovery. "
        "Seconds each: of the search by its evaluations. Recovery, where no other is named: "
        f"`{setting.options['recovery']}`; budget: {setting.episodes} evaluations. Measured on "
        f"{described(records[0].machine)}."
    )
    title = "Best plans, image by image"
    console = printer()
    console.print(terminal(title, COLUMNS, rows))
    console.print(notes, highlight=False)
    page = [f"# {title}", "", *markdown(COLUMNS, rows), "", notes]
    write_whole(folder / "best-plans.md", "\n".join(page) + "\n")
    with replacing_text(folder / "best-plans.csv") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _row(
    agent: str, mine: Sequence[Judged], uniform: Sequence[Judged]
) -> tuple[list[str], dict[str, object]]:
    """Cells of the table, and the same in full precision."""
    evaluations = sum(each.evaluations for each in mine)
    each = sum(j.seconds for j in mine) / evaluations if evaluations else None
    macs = float(np.mean([j.macs_ratio for j in mine]))
    numbers: dict[str, object] = {
        "agent": agent,
        "runs": len(mine),
        "evaluations": evaluations,
        "seconds_each": each,
        "macs_ratio": macs,
    }
    cells = [agent, str(len(mine)), f"{evaluations / len(mine):.0f}" if evaluations else ""]
    cells += ["" if each is None else f"{each:.1f}", f"{100 * macs:.1f}"]
    for what in ("reward top1", "test top1", "test top5"):
        bits = _bits(mine, what)
        share = difference(bits, [np.zeros_like(bits[0])])
        cells.append(_interval(share))
        numbers |= _numbers(what, share)
    for what in ("reward top1", "test top1"):
        compared = agent != FULL and bool(uniform) and agent != uniform[0].agent
        share = difference(_bits(mine, what), _bits(uniform, what)) if compared else None
        cells.append("" if share is None else str(share))
        numbers |= _numbers(f"{what} to uniform", share)
    return cells, numbers


def _bits(judged: Sequence[Judged], what: str) -> list[NDArray[np.bool_]]:
    return [each.right[what].array for each in judged]


def _interval(share: Difference) -> str:
    return f"{100 * share.mean:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _numbers(what: str, share: Difference | None) -> dict[str, float | None]:
    name = what.replace(" ", "_")
    values = (None,) * 3 if share is None else (share.mean, share.low, share.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command(judge, "benchmarks.best_plans", arguments)


if __name__ == "__main__":
    sys.exit(main())
