"""Best plans of a study, evaluated image by image: top-1 and top-5, with intervals over images.

    python -m benchmarks.best_plans FOLDER

Records state how many images a plan classifies correctly by the metric of the search.  This command
builds each plan again and stores which images those are, so that intervals and differences to the
uniform plan can be computed from a file.  Plans that are evaluated already are skipped.

A search needs a recovery that is fast; the network that is handed over deserves the best one, which
may rank plans otherwise.  ``--candidates`` lets it choose among several plans of each run.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tyro.conf import Positional

import amc_gym
from agents.plans import amc
from amc_gym import CompressionTask, Split
from amc_gym._utils import documents
from amc_gym._utils.documents import Schema, Seconds, Share
from amc_gym._utils.files import replacing_text, write_json, write_whole
from amc_gym._utils.progress import counter
from amc_gym.cli.console import printer
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.recovery import chain
from benchmarks.arguments import run_command
from benchmarks.candidates import Candidate
from benchmarks.finetuning.outcomes import Bits, BitsSchema
from benchmarks.finetuning.paired import Difference, difference
from benchmarks.machine import described
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.execution import make_env
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError

FULL, UNIFORM = "full network", "uniform"

UNDER, TUNED = " under ", " fine-tuned"
"""Suffixes of an agent's name for plans with another recovery, or fine-tuned."""

SEVERAL = ", best of "
"""Second suffix, before a number, where the recovery chose among several plans."""

TREATED = re.compile(rf"{UNDER}.*|{TUNED}$")

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
    """The evaluated best plan of a run, or the full network.

    Attributes:
        agent: agent that found it.
        macs_ratio: its MACs as a share of the full network's.
        evaluations: evaluations that the run spent.
        seconds: duration of the run.
        right: which images it classifies correctly, by split and metric, such as "test top5".
    """

    agent: str
    macs_ratio: float
    evaluations: int
    seconds: float
    right: Mapping[str, Bits]

    @classmethod
    def read(cls, path: Path) -> Judged:
        """Read a file that ``judge`` wrote.

        Raises:
            DocumentError: the file is anything else.
        """
        content = documents.read(path)
        documents.check(JudgedSchema, content)
        right = {name: Bits(**bits) for name, bits in content.pop("right").items()}
        return cls(**content, right=right)


def judge(
    folder: Positional[Path],
    recoveries: tuple[str, ...] = (),
    tuned: Path | None = None,
    candidates: int = 1,
) -> int:
    """Evaluate the best plan of each finished run: best-plans.md and .csv, and files for each plan.

    The plans themselves are written to plans/, for `amc-gym bench-latency` and other commands.

    Args:
        folder: The results folder, given by --out of run.
        recoveries: Further recoveries to evaluate plans with, besides that of the search.
        tuned: Folder of fine-tuned networks of plans, each named like its plan, as written by
            `amc-gym finetune plans/X.json --out TUNED/X.safetensors`; they are evaluated, too.
        candidates: Number of distinct plans of each run, the best ones of the search, to evaluate
            under each further recovery; the one with the most correct reward images gets a line,
            and its plan is written to plans/, too.

    Examples:
        python -m benchmarks.best_plans runs/mine --recoveries sequential+bn
        python -m benchmarks.best_plans runs/mine --recoveries nonlinear --candidates 5
    """
    for recovery in recoveries:
        chain(recovery)
    if candidates < 1 or (candidates > 1 and not recoveries):
        raise BenchmarkError("--candidates must be at least 1, and more need --recoveries")
    records, _ = Store(folder).load()
    if not records:
        raise BenchmarkError(f"no finished runs in {folder}: run the study first")
    if len({record.run.setting.digest for record in records}) > 1:
        raise BenchmarkError(f"{folder} holds runs of several settings: put each in its own folder")
    setting = records[0].run.setting
    env = amc(make_env(setting.env, setting.kwargs))
    task = env.task
    if task.fingerprint != setting.task:
        raise BenchmarkError(
            "the weights or images differ from those of the study: use its own, or run it again"
        )
    if not isinstance(task.test, Split):
        raise BenchmarkError("plans are evaluated by top-1 and top-5: the task must classify")
    found = {record.run.name: Candidate.of(record, candidates, env) for record in records}
    for name in ("best-plans", "plans"):
        (folder / name).mkdir(exist_ok=True)
    for record in records:
        record.best.plan.save(folder / "plans" / f"{record.run.name}.json")
    files = folder / "best-plans"
    full = files / "full.json"
    if not full.exists():
        write_json(full, asdict(Judged(FULL, 1.0, 0, 0.0, _right(task.model, task))))
    judged = [Judged.read(full)]
    work = [(recovery, record) for recovery in (None, *recoveries) for record in records]
    with counter() as bar:
        for recovery, record in bar.track(work, description="plans"):
            theirs = found[record.run.name]
            judged.append(_judged(files, task, theirs[0], recovery))
            if recovery is None or len(theirs) == 1:
                continue
            each = [_judged(files, task, one, recovery) for one in theirs]
            right = [one.right[f"reward {setting.options['metric']}"].accuracy for one in each]
            first = right.index(max(right))
            judged.append(replace(each[first], agent=f"{each[first].agent}{SEVERAL}{candidates}"))
            theirs[first].plan.save(folder / "plans" / f"{record.run.name}.{recovery}.json")
    for record, network in _tuned(records, tuned):
        digest = hashlib.sha256(network.read_bytes()).hexdigest()[:8]
        path = files / f"{record.run.name}.tuned-{digest}.images.json"
        make = partial(amc_gym.load, network, task=task)
        judged.append(_written(path, task, found[record.run.name][0], TUNED, make))
    _write(folder, judged, records, task)
    return 0


def _tuned(records: Sequence[Record], folder: Path | None) -> list[tuple[Record, Path]]:
    """Return the runs whose plans are fine-tuned, with the files of these networks.

    Raises:
        BenchmarkError: the folder has no such network.
    """
    if folder is None:
        return []
    named = [(record, folder / f"{record.run.name}.safetensors") for record in records]
    if found := [each for each in named if each[1].exists()]:
        return found
    raise BenchmarkError(f"{folder} has no network of these runs, such as {named[0][1].name}")


def _judged(
    files: Path, task: CompressionTask, candidate: Candidate, recovery: str | None
) -> Judged:
    """Return which images a plan has right under a recovery; None: that of the search."""
    rank = f".{candidate.rank}" if candidate.rank else ""
    ending, treated = ("", "") if recovery is None else (f".{recovery}", UNDER + recovery)
    path = files / f"{candidate.record.run.name}{rank}{ending}.images.json"
    make = partial(amc_gym.compress, task, candidate.plan, recovery)
    return _written(path, task, candidate, treated, make)


def _written(
    path: Path,
    task: CompressionTask,
    candidate: Candidate,
    treated: str,
    make: Callable[[], nn.Module],
) -> Judged:
    """Return the content of a file, or evaluate a network and write it.

    Args:
        path: the file.
        task: task with the images.
        candidate: the network's plan.
        treated: treatment of the plan, appended to the agent's name.
        make: returns the network.
    """
    if path.exists():
        return Judged.read(path)
    record = candidate.record
    made = Judged(
        record.run.label + treated,
        candidate.macs_ratio,
        record.evaluations,
        round(record.seconds, 3),
        _right(make(), task),
    )
    write_json(path, asdict(made))
    return made


def _right(network: nn.Module, task: CompressionTask, size: int = 16) -> dict[str, Bits]:
    """Return which images a network classifies correctly, in small batches for photographs."""
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
        treated = TREATED.search(agent)
        # The uniform plan is one, so it is compared with those that were chosen from several, too.
        uniform = UNIFORM + ("" if treated is None else treated[0].partition(SEVERAL)[0])
        cells, numbers = _row(agent, mine, [each for each in judged if each.agent == uniform])
        rows.append(cells)
        lines.append(numbers)
    setting = records[0].run.setting
    sizes = " and ".join(f"{len(getattr(task, name)):,} {name}" for name in SPLITS)
    notes = (
        f"{sizes} images. Plans are built once more and judged before any training, but for those "
        "that are said to be fine-tuned; several runs of an agent are averaged. In brackets the "
        "95 % interval of a bootstrap over images and runs, for differences in points with the "
        "same images and the same treatment for both sides. "
        "Seconds each: of the search by its evaluations. Recovery, where no other is named: "
        f"`{setting.options['recovery']}`; budget: {setting.episodes} evaluations. Measured on "
        f"{described(records[0].machine)}."
    )
    if any(SEVERAL in each.agent for each in judged):
        notes += (
            " Best of n: of the n best distinct plans of each run, the one that has the most "
            "correct reward images under this recovery; its test images had no part in the choice."
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
    """Return the cells of the table, and the same in full precision."""
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
