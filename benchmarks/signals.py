"""Comparison of rankings and recoveries: ``python -m benchmarks.signals --out DIR``.

It measures the test accuracy of the same plans for every ranking and recovery before fine-tuning,
and for every ranking after it.  Plans are uniform, so that no search favours one signal.  Finished
rows are kept in DIR and not computed again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import torch
import tyro
from rich.progress import track

import amc_gym
from amc_gym._utils.files import replacing_text, write_json, write_whole
from amc_gym.compression.ranking.importance import IMPORTANCES
from amc_gym.envs.factory import make_env
from amc_gym.envs.rules import largest
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.zoo.datasets import load
from benchmarks.reports.tables import markdown
from benchmarks.search_signal.judgements import RECOVERIES

FINETUNED = ("none", "reconstruct")


def main(
    out: Path,
    network: str = "MobileNet",
    dataset: str = "digits",
    ratios: tuple[float, ...] = (0.5, 0.3, 0.2),
    epochs: int = 10,
    seeds: int = 3,
) -> None:
    """Compare rankings and recoveries on uniform plans.

    Args:
        out: Folder for rows.json, signals.csv and signals.md.
        network: A registered network with bundled weights.
        dataset: Its data set.
        ratios: Shares of the MACs to keep.
        epochs: Epochs of fine-tuning, with a cosine schedule.
        seeds: Number of fine-tuning seeds.
    """
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "rows.json"
    rows: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    wanted = list(_wanted(ratios, seeds if epochs else 0))
    for key in track(wanted, description="signals"):
        name = json.dumps(key)
        if name in rows:
            continue
        rows[name] = _measure(network, dataset, key, epochs)
        write_json(path, rows)
    n = len(make_env(network, dataset=dataset).task.test)
    _report(out, rows, ratios, epochs, seeds, f"{network} on {dataset}, {n} test images")


def _wanted(ratios: tuple[float, ...], seeds: int) -> Iterator[tuple[float, str, str, int]]:
    """Yield (ratio, importance, recovery, fine-tuning seed or -1 for none)."""
    for ratio in ratios:
        for importance in IMPORTANCES:
            for recovery in RECOVERIES:
                yield ratio, importance, recovery, -1
            for recovery in FINETUNED:
                for seed in range(seeds):
                    yield ratio, importance, recovery, seed


def _measure(network: str, dataset: str, key: tuple[float, str, str, int], epochs: int) -> float:
    ratio, importance, recovery, seed = key
    env = make_env(
        network, dataset=dataset, preserve_ratio=ratio, importance=importance, recovery=recovery
    )
    env.execute(largest(env.budget))
    small = amc_gym.compress(env.task, env.plan)
    if seed >= 0:
        recipe = Recipe(
            epochs,
            batch_size=64,
            learning_rate=0.02,
            schedule="cosine",
            weight_decay=5e-4,
            label_smoothing=0.1,
            shift=1,
            seed=seed,
        )
        train(small, load(dataset).train, recipe, progress=False)
    return amc_gym.accuracy(small, env.task.test)


def _report(
    out: Path, rows: dict[str, float], ratios: tuple[float, ...], epochs: int, seeds: int, what: str
) -> None:
    """Write the numbers as CSV, one per row, and as a Markdown table."""
    with replacing_text(out / "signals.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["ratio", "importance", "recovery", "finetuning_seed", "test_accuracy"])
        writer.writerows([*json.loads(name), value] for name, value in rows.items())

    def cell(ratio: float, importance: str, recovery: str, seed: int) -> float:
        return 100 * rows[json.dumps((ratio, importance, recovery, seed))]

    tuned = [f"{recovery}, fine-tuned" for recovery in FINETUNED]
    lines = [
        f"{what}; uniform plans; accuracy in %, fine-tuned for {epochs} epochs: mean of {seeds} "
        "seeds.",
        "",
    ]
    table = []
    for ratio in ratios:
        for importance in IMPORTANCES:
            cells = [cell(ratio, importance, recovery, -1) for recovery in RECOVERIES]
            for recovery in FINETUNED:
                each = [cell(ratio, importance, recovery, seed) for seed in range(seeds)]
                cells.append(sum(each) / seeds)
            table.append([f"{ratio:.0%}", importance, *(f"{value:.1f}" for value in cells)])
    lines += markdown(["MACs kept", "importance", *RECOVERIES, *tuned], table, words=2)
    write_whole(out / "signals.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
