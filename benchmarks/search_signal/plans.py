"""Random plans, spread over a range of sizes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from amc_gym import CompressionPlan
from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym.envs.factory import make_env
from amc_gym.envs.rules import largest
from amc_gym.tasks.task import CompressionTask
from benchmarks.studies import columnar
from benchmarks.studies.runs import BenchmarkError

FILE = "plans.parquet"
COLUMNS: columnar.Columns = {"decided": "text", "drawn": "text"}
"""Columns: JSON of the arguments of all plans, and JSON of one plan with its sizes."""

LEAST = 5
"""Smallest relative sparsity of a unit that is drawn, in percent."""


@dataclass(frozen=True)
class Drawn:
    """A plan, and its MACs and parameters as shares of the full network's."""

    plan: CompressionPlan
    macs_ratio: float
    params_ratio: float


def draw(task: CompressionTask, n: int, ratios: tuple[float, float], seed: int = 0) -> list[Drawn]:
    """Draw ``n`` plans whose budgets are evenly spaced over a range.

    Each is the largest plan within its budget whose units' sparsities are proportional to
    independent uniform draws.

    Args:
        task: what is compressed.
        n: number of plans.
        ratios: smallest and largest share of the MACs to keep.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    plans = []
    for ratio in np.linspace(*ratios, n):
        env = make_env(task, preserve_ratio=float(ratio))
        percents = rng.integers(LEAST, 101, size=len(env.budget.channels))
        sparsities = [Fraction(int(percent), 100) for percent in percents]
        env.execute(largest(env.budget, lambda _, drawn=sparsities: drawn))
        measured = env.plan.measured
        shares = {
            name: getattr(measured, name) / cost.full for name, cost in env.engine.costs.items()
        }
        plans.append(Drawn(env.plan, shares["macs"], shares["params"]))
    return plans


def drawn(
    path: Path, task: CompressionTask, n: int, ratios: tuple[float, float], seed: int = 0
) -> list[Drawn]:
    """Return the plans in the file if there are any, otherwise draw plans and store them.

    A plan drawn again elsewhere would have other versions, and perhaps other rounding, so that its
    results would not be found.

    Raises:
        BenchmarkError: the file holds the plans of other arguments.
    """
    decided = {"task": task.fingerprint, "plans": n, "ratios": list(ratios), "seed": seed}
    if not path.exists() and not _earlier(path).exists():
        _write(path, decided, draw(task, n, ratios, seed))
    content = _read(path) if path.exists() else json.loads(_earlier(path).read_text("utf-8"))
    if differing := [name for name, value in decided.items() if content.get(name) != value]:
        raise BenchmarkError(
            f"{path} holds other plans: it differs in {', '.join(differing)}. Name another --out"
        )
    return [
        Drawn(**one | {"plan": CompressionPlan.from_dict(one["plan"])}) for one in content["drawn"]
    ]


def _earlier(path: Path) -> Path:
    """Return the path of the large file that earlier versions wrote."""
    return path.with_suffix(".json")


def _write(path: Path, decided: dict[str, Any], plans: list[Drawn]) -> None:
    rows = [vars(one) | {"plan": one.plan.to_dict()} for one in plans]
    columnar.write(
        path,
        COLUMNS,
        [{"decided": json.dumps(decided), "drawn": json.dumps(row)} for row in rows],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        rows = columnar.read(path, COLUMNS)
        decided: dict[str, Any] = documents.parse(rows[0]["decided"] or "") if rows else {}
        return decided | {"drawn": [documents.parse(row["drawn"] or "") for row in rows]}
    except DocumentError as error:
        raise BenchmarkError(f"{path} holds no plans: {error}") from error
