"""The bundled suites of small networks: their contexts, budgets and files.

``python -m amc_gym.suites.listing`` rewrites them from the zoo's records.  It keeps every budget at
which the uniform plan loses enough for plans to be told apart.

| suite   | group     | networks                                  | budgets                        |
|---------|-----------|-------------------------------------------|--------------------------------|
| train   | "train"   | of the split "train"                      | `SEEN` times the network's own |
| test    | "budgets" | the same                                  | `UNSEEN` times its own         |
| test    | "members" | others of the same families               | `SEEN` times the network's own |
| test    | "family"  | of a family that is in no other group     | `SEEN` times the network's own |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from amc_gym._utils.files import write_whole
from amc_gym._utils.progress import counter
from amc_gym.engine.cache import engines
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.problem import Problem
from amc_gym.suites.suite import DIRECTORY, Suite
from amc_gym.zoo import small
from amc_gym.zoo.resolving import resolve

VERSION = 1
"""Version of the suites; the contents of a version never change once policies are trained on it."""

SEEN, UNSEEN = (0.8, 1.0, 1.25), (0.9, 1.12)
"""Budgets to train on, and others between them, as multiples of each network's own budget."""

LEAST_LOSS = 0.03
"""Score that the uniform plan has to lose at a budget; where it loses less, few plans beat it."""

MOST = 0.95
"""Largest budget, as a share of the MACs."""

Row = tuple[str, str, list[float]]
"""Network, group and budgets."""


def asked(split: str) -> dict[str, tuple[float, ...]]:
    """Return group -> multiples of a network's own budget, for the networks of a split."""
    return {"train": SEEN, "budgets": UNSEEN} if split == "train" else {split: SEEN}


def budgets(network: str, times: Iterable[float]) -> list[float]:
    """Return multiples of a small network's own budget at which plans can be told apart.

    Args:
        network: its name.
        times: the multiples; infeasible ones and those above ``MOST`` are left out.
    """
    task = resolve(network)
    engine, found = engines.engine(task, EngineOptions()), []
    for each in times:
        ratio = round(each * task.preserve_ratio, 3)
        if ratio > MOST:
            continue
        try:
            problem = Problem(engine, EnvOptions(preserve_ratio=ratio), task=task)
        except ValueError:  # infeasible
            continue
        if problem.references.full - problem.references.uniform >= LEAST_LOSS:
            found.append(ratio)
    return found


def rows(*, shown: bool = True) -> Iterator[Row]:
    """Yield the networks of the zoo with their groups and budgets, if they have any.

    Args:
        shown: whether to show a progress bar.
    """
    with counter(shown=shown) as bar:
        for name, card in bar.track(list(small.cards().items()), description="budgets"):
            for group, times in asked(card.split).items():
                if found := budgets(name, times):
                    yield name, group, found


def written(name: str, summary: str, networks: Iterable[Row]) -> str:
    """Return the text of a suite's file."""
    parts = ["format = 1", f"name = {json.dumps(name)}", f"summary = {json.dumps(summary)}"]
    for network, group, ratios in networks:
        parts += [
            "\n[[networks]]",
            f"network = {json.dumps(network)}",
            f"preserve_ratios = {ratios}",
            f"group = {json.dumps(group)}",
        ]
    return "\n".join(parts) + "\n"


def main(out: Path = DIRECTORY) -> None:
    """Write the suite files of the small networks.

    Args:
        out: folder of the files.
    """
    found = sorted(rows(), key=lambda row: (row[1], row[0]))
    seen = "Small networks to learn from, at three budgets each."
    unseen = "Small networks to test on: other budgets, other members, another family."
    for name, summary, train in (("train", seen, True), ("test", unseen, False)):
        name = f"zoo-{name}-v{VERSION}"
        chosen = [row for row in found if (row[1] == "train") == train]
        path = out / f"{name}.toml"
        write_whole(path, written(name, summary, chosen))
        print(f"{path}: {Suite.load(path)}")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
