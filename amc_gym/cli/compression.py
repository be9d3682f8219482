"""``search`` and ``validate``: from a network to a plan, and from a plan to its proof."""

from __future__ import annotations

import math
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import gymnasium as gym
import tyro
from rich.table import Table

import amc_gym
from amc_gym._utils.options import options_of
from amc_gym.cli.catalogue import Subject
from amc_gym.cli.console import CommandError, refuse_to_overwrite, say, watched
from amc_gym.cli.plans import SavedPlan
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from amc_gym.envs.options import EnvOptions
from amc_gym.workflows.search import EVALUATIONS
from amc_gym.workflows.search import search as run_search

UNPROVEN = 3
"""Exit status of a validation that could neither prove nor refute the budget."""

Ratio = float | Literal["default", "none"]

WORDS: dict[str, Any] = {
    "importance": str,
    "recovery": str,
    "reward": str,
    "resource": str,
    "preserve_ratio": Ratio,
    "max_sparsity": float | None,
    "latency_table": Path | None,
}
"""Types on the command line of options that are more than a word in Python."""


def _options() -> type:
    """Return a class of all options of engine and environment, as the command line takes them."""
    typed = []
    for cls in (EngineOptions, EnvOptions):
        hints = get_type_hints(cls)
        for option in options_of(cls):
            kind = WORDS.get(option.name, hints[option.name])
            helped = Annotated[kind, tyro.conf.arg(help=option.meaning)]
            typed.append((option.name, helped, field(default=option.default)))
    return make_dataclass("Options", typed, frozen=True)


if TYPE_CHECKING:
    Options = Any
else:
    Options = _options()


def _environment(subject: Subject, options: Options) -> AMCEnv:
    """Return the environment that a command is about."""
    chosen = {field.name: getattr(options, field.name) for field in fields(options)}
    if chosen["preserve_ratio"] == "none":
        chosen["preserve_ratio"] = None
        if not chosen["reward"].startswith("error-log"):
            raise CommandError(
                f"without a bound, reward {chosen['reward']!r} keeps the whole network: "
                "say --reward error-log-macs or error-log-params"
            )
    return make_env(
        subject.name,
        dataset=subject.dataset,
        data_root=subject.data_root,
        weights=subject.weights,
        **chosen,
    )


def search(
    subject: Subject,
    budget: Options,
    out: Path,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Search for the best plan by evolution, and save it.

    Args:
        subject: what is compressed.
        budget: what it may cost, and how it is judged.
        out: file for the plan (JSON).
        evaluations: how many plans to try.
        seed: of the search; the same seed finds the same plan.
        force: replace the file if it exists.
    """
    refuse_to_overwrite(out, force=force)
    env = _environment(subject, budget)
    best: list[CompressionPlan] = []
    try:
        best.append(run_search(env, evaluations, seed, progress=watched(), found=best.append))
    except KeyboardInterrupt:
        if best:
            best[-1].save(out)
            raise CommandError(f"interrupted; the best plan so far is in {out}") from None
        raise
    plan = best[-1]
    plan.save(out)
    _report(env, plan)
    say(f"saved in {out}")


def _report(env: gym.Env, plan: CompressionPlan) -> None:
    assert isinstance(env, AMCEnv)
    graph, measured = env.engine.graph, plan.measured
    full = env.engine.evaluator(graph.full).score
    table = Table("", "original", "compressed", "kept")
    table.add_row(
        f"{plan.score_name} ({plan.options['metric']}, {measured.images} reward images)",
        f"{full:.2%}",
        f"{measured.score:.2%}",
        "",
    )
    costs = {
        RESOURCES[name].title: (cost, getattr(measured, name))
        for name, cost in env.engine.costs.items()
    }
    if measured.cost is not None:
        costs[RESOURCES[plan.options["resource"]].title] = env.cost, measured.cost
    for title, (cost, kept) in costs.items():
        table.add_row(title, f"{cost.full:,}", f"{kept:,}", f"{kept / cost.full:.1%}")
    if env.latency is not None and measured.latency_ns is not None:
        whole, kept = env.latency.full, measured.latency_ns
        figures = (f"{whole / 1e6:.3f} ms", f"{kept / 1e6:.3f} ms", f"{kept / whole:.1%}")
        table.add_row("latency, by the table", *figures)
    say(table)


def validate(
    saved: SavedPlan,
    latency_table: Path | None = None,
) -> None:
    """Replay a plan and compare with all that it claims.

    The exit status is 0 if the plan holds, 1 if a claim fails, and 3 if none fails but its budget
    is one of latency whose table is not here, so that nobody can say whether the plan keeps it. A
    latency that no budget bounds is named as not proven where its table is not here.

    Args:
        saved: the plan and its task.
        latency_table: file of the times that a latency was told by; without it, this machine's.
    """
    loaded, subject = saved.open()
    validation = amc_gym.validate(subject, loaded, latency_table=latency_table)
    table = Table("", "claimed", "found")
    for name, claimed in validation.claimed.items():
        found = validation.found.get(name)
        table.add_row(name, _number(claimed), "" if found is None else _number(found))
    say(table)
    for claim in validation.unproven:
        say(f"not proven: {claim}")
    if not validation.ok:
        raise CommandError(f"{saved.plan} is refuted: {'; '.join(validation.problems)}")
    if not validation.budget_judged:
        raise CommandError(
            f"{saved.plan} is neither proven nor refuted: all else holds, but whether it keeps "
            "its budget only the latency table can say that it was made with; name its file with "
            "--latency-table",
            status=UNPROVEN,
        )
    say(
        f"{saved.plan} holds" + (", as far as it can be proven here" if validation.unproven else "")
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if not math.isclose(value, round(value)) or value <= 1 else f"{value:,}"
