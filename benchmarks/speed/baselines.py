"""Figures of an earlier run, as ratios, to compare those of this run with.

Times are kept as multiples of a fixed piece of work timed in the same run (``yardstick``); ratios
and megabytes are kept as they are.  For every figure, less is better.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from amc_gym._utils.files import write_whole

PATH = Path(__file__).with_name("baselines.json")

NOISE = 0.25
"""Relative changes up to this are noise: one commit's figures differ by as much on a busy machine.
"""


@dataclass(frozen=True)
class Baselines:
    """Figures and the machine and versions they were measured with.

    Attributes:
        machine: see ``benchmarks.machine``.
        versions: versions of the packages.
        figures: name -> ratio.
    """

    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)


def read(path: Path = PATH) -> Baselines:
    """Return the baselines of a file; none if there is no file.

    Raises:
        ValueError: the file does not hold baselines.
    """
    if not path.exists():
        return Baselines()
    try:
        return Baselines(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} does not hold baselines ({error}); delete it") from error


def update(measured: Baselines, path: Path = PATH) -> None:
    """Write the measured figures, and keep the other ones if they are from this machine too."""
    old = read(path)
    kept = old.figures if old.machine == measured.machine else {}
    figures = {
        name: float(f"{figure:.4g}") for name, figure in ({**kept, **measured.figures}).items()
    }
    document = {
        "machine": dict(measured.machine),
        "versions": dict(measured.versions),
        "figures": dict(sorted(figures.items())),
    }
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def mark(measured: float, baseline: float | None) -> str:
    """Classify a figure as "new", "same", "better" or "worse", the last two beyond ``NOISE``."""
    if baseline is None:
        return "new"
    # As factors, so that a figure halved counts as much as one doubled.
    if measured > baseline * (1 + NOISE):
        return "worse"
    return "better" if measured < baseline / (1 + NOISE) else "same"


def comparison(measured: Mapping[str, float], baselines: Baselines) -> Table:
    """Tabulate each measured figure, its baseline, and the change."""
    where = ", ".join(str(value) for value in baselines.machine.values()) or "none yet"
    table = Table(
        title=f"Against the baselines (taken on: {where})",
        caption=(
            "times as multiples of a fixed piece of work, the rest as it is; less is better; "
            f"marked beyond a factor of {1 + NOISE:g}, which noise stays within"
        ),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for column in ("measured", "baseline", "change", ""):
        table.add_column(column, justify="right")
    colours = {"worse": "[yellow]worse", "better": "[green]better", "new": "new", "same": ""}
    for name, figure in measured.items():
        baseline = baselines.figures.get(name)
        change = "" if not baseline else f"{figure / baseline - 1:+.0%}"
        old = "" if baseline is None else f"{baseline:.3g}"
        table.add_row(name, f"{figure:.3g}", old, change, colours[mark(figure, baseline)])
    return table
