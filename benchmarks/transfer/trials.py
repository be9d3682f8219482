"""Agents on the contexts of test suites: the best relative reward after so many evaluations."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

import agents
from amc_gym._utils.files import write_whole
from amc_gym._utils.progress import counter
from amc_gym.suites.context import Context
from benchmarks.reports.statistics import best_so_far
from benchmarks.studies.records import History
from benchmarks.transfer.logs import env_of

AFTER = (1, 4, 16, 40, 100, 400)
"""Evaluations after which the best reward so far is kept."""

SCHEMA = pa.schema(
    [
        ("context", pa.string()),
        ("network", pa.string()),
        ("group", pa.string()),
        ("agent", pa.string()),
        ("seed", pa.int32()),
        *[(f"after {n}", pa.float32()) for n in AFTER],
        ("seconds", pa.float32()),
    ]
)

Row = Mapping[str, Any]


def some(contexts: Sequence[Context], most: int | None) -> list[Context]:
    """Choose at most so many contexts of each network, those of the middle budgets first."""
    networks: dict[str, list[Context]] = defaultdict(list)
    for context in contexts:
        networks[str(context.network)].append(context)
    chosen: list[Context] = []
    for each in networks.values():
        middle = (len(each) - 1) / 2
        order = sorted(range(len(each)), key=lambda place: abs(place - middle))
        chosen += [each[place] for place in sorted(order[:most])]
    return chosen


def run(
    contexts: Sequence[Context],
    names: Mapping[str, int],
    seeds: int,
    out: Path,
    weights: Path | None = None,
) -> None:
    """Run agents on contexts; what the file holds is not run again.

    Args:
        contexts: of test suites.
        names: agent -> evaluations that it may spend.
        seeds: of each agent that is not deterministic.
        out: Parquet file of the rows, written after each context.
        weights: of the policy that is judged, instead of those that come with the agents.
    """
    rows = load(out)
    done = {(row["context"], row["agent"], row["seed"]) for row in rows}
    with counter() as bar:
        counted = bar.add_task("contexts", total=len(contexts))
        for context in contexts:
            bar.update(counted, description=str(context.name))
            wanted = [
                (name, seed)
                for name in names
                for seed in range(1 if agents.is_deterministic(name) else seeds)
                if (context.name, name, seed) not in done
            ]
            rows += [_trial(context, name, seed, names[name], weights) for name, seed in wanted]
            if wanted:
                save(out, rows)
            bar.advance(counted)


def _trial(context: Context, name: str, seed: int, episodes: int, weights: Path | None) -> Row:
    env = env_of(context)
    arguments = {"weights": weights} if weights is not None and name == "amc-policy" else {}
    result = agents.make(name, env, seed, **arguments).learn(episodes)
    best = best_so_far(History.of(result.history), episodes)
    return {
        "context": context.name,
        "network": context.network,
        "group": context.group or "",
        "agent": name,
        "seed": seed,
        **{f"after {n}": float(best[n - 1]) if n <= episodes else None for n in AFTER},
        "seconds": result.seconds,
    }


def load(path: Path) -> list[Row]:
    """Rows of a file; none where there is no file."""
    return parquet.read_table(path).to_pylist() if path.exists() else []


def save(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows, or leave the file as it is."""
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([*map(dict, rows)], SCHEMA), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())
