"""``python -m benchmarks transfer``: plans to learn from, a policy, and how it does elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from amc_gym.cli.console import printer
from benchmarks.arguments import split


def transfer(
    step: Annotated[Positional[Literal["log", "train", "run", "report"]], arg(metavar="STEP")],
    out: Path = Path("runs/transfer"),
    train: str = "zoo-train-v1",
    test: Annotated[str, arg(metavar="A,B,...")] = "zoo-test-v1,cifar10-v1",
    plans: int = 100,
    members: int = 5,
    agents: Annotated[str, arg(metavar="A=N,...")] = (
        "uniform=1,error-allocation=40,loss-allocation=40,random-shares=100,gp=40,cma-es=400,"
        "amc-policy=40"
    ),
    seeds: int = 3,
    groups: Annotated[str, arg(metavar="A,B,...")] = "members,family,cifar10",
    budgets: int | None = None,
    weights: Path | None = None,
) -> int:
    """Learn a policy from plans of many networks, and judge it on networks that it has not seen.

    The steps, in order, each of which goes on where it was stopped:

    log: evaluate plans on every context of the suite to learn from.
    train: fit an ensemble to them, into OUT/amc-policy.safetensors.
    run: agents on every context of the test suites.
    report: print a table for each group of contexts.

    Args:
        step: What to do.
        out: Folder of everything.
        train: Suite to learn from.
        test: Suites to judge on.
        plans: Plans of each context to learn from.
        members: Networks in the ensemble.
        agents: Agents and the evaluations that each may spend.
        seeds: Of each agent that is not deterministic.
        groups: Of contexts of the test suites; "budgets" is known networks at other budgets.
        budgets: At most so many of each network's, the middle one first; by default all.
        weights: A policy to judge instead of the one that comes with the agents.
    """
    from amc_gym.suites.suite import suite_of
    from benchmarks.transfer import logs, table, trials

    console = printer()
    if step == "log":
        logs.write(suite_of(train), out / "logs", plans)
    elif step == "train":
        _train(out, members)
    elif step == "run":
        suites = [suite_of(name) for name in split(test)]
        chosen = [c for suite in suites for c in suite.contexts if c.group in split(groups)]
        spent = {name: int(n) for name, _, n in (each.partition("=") for each in split(agents))}
        trials.run(trials.some(chosen, budgets), spent, seeds, out / "trials.parquet", weights)
    else:
        rows = trials.load(out / "trials.parquet")
        for group in dict.fromkeys(row["group"] for row in rows):
            networks = {row["network"] for row in rows if row["group"] == group}
            console.print(f"{group}: {len(networks)} networks", *table.made(rows, group), sep="\n")
    return 0


def _train(out: Path, members: int) -> None:
    from safetensors.torch import save

    from agents.amc_policy import named
    from amc_gym._utils.files import write_whole
    from amc_gym._utils.progress import counter
    from benchmarks.transfer.logs import read
    from benchmarks.transfer.training import EPOCHS, fit

    known = list(read(out / "logs"))
    with counter() as bar:
        counted = bar.add_task("epochs", total=members * EPOCHS)
        fitted = [fit(known, seed, lambda _: bar.advance(counted)) for seed in range(members)]
    write_whole(out / "amc-policy.safetensors", save(named(fitted)))
