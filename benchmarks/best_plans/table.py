"""The table of a study's best plans: best-plans.md and best-plans.csv."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amc_gym import CompressionTask
from amc_gym._utils.files import replacing_text, write_whole
from amc_gym.cli.console import printer
from benchmarks.best_plans.judged import FULL, SEVERAL, SPLITS, TUNED, UNDER, UNIFORM, Judged
from benchmarks.finetuning.paired import Difference, difference
from benchmarks.machine import described
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.records import Record

TREATED = re.compile(rf"{UNDER}.*|{TUNED}$")

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


def write(folder: Path, judged: Sequence[Judged], record: Record, task: CompressionTask) -> None:
    """Print the table, and write best-plans.md and best-plans.csv.

    Args:
        folder: the study's folder.
        judged: what was evaluated, with a line for each agent, several runs of it averaged.
        record: any run of the study, for its setting and machine.
        task: task with the images.
    """
    rows, lines = [], []
    for agent in dict.fromkeys(each.agent for each in judged):
        mine = [each for each in judged if each.agent == agent]
        treated = TREATED.search(agent)
        # The uniform plan is one, so it is compared with those that were chosen from several, too.
        uniform = UNIFORM + ("" if treated is None else treated[0].partition(SEVERAL)[0])
        cells, numbers = _row(agent, mine, [each for each in judged if each.agent == uniform])
        rows.append(cells)
        lines.append(numbers)
    title, notes = "Best plans, image by image", _notes(judged, record, task)
    console = printer()
    console.print(terminal(title, COLUMNS, rows))
    console.print(notes, highlight=False)
    page = [f"# {title}", "", *markdown(COLUMNS, rows), "", notes]
    write_whole(folder / "best-plans.md", "\n".join(page) + "\n")
    with replacing_text(folder / "best-plans.csv") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _notes(judged: Sequence[Judged], record: Record, task: CompressionTask) -> str:
    """Return the text below the table."""
    setting = record.run.setting
    sizes = " and ".join(f"{len(getattr(task, name)):,} {name}" for name in SPLITS)
    notes = (
        f"{sizes} images. Plans are built once more and judged before any training, but for those "
        "that are said to be fine-tuned; several runs of an agent are averaged. In brackets the "
        "95 % interval of a bootstrap over images and runs, for differences in points with the "
        "same images and the same treatment for both sides. "
        "Seconds each: of the search by its evaluations. Recovery, where no other is named: "
        f"`{setting.options['recovery']}`; budget: {setting.episodes} evaluations. Measured on "
        f"{described(record.machine)}."
    )
    if any(SEVERAL in each.agent for each in judged):
        notes += (
            " Best of n: of the n best distinct plans of each run, the one that has the most "
            "correct reward images under this recovery; its test images had no part in the choice."
        )
    return notes


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
