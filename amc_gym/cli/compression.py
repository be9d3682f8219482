"""``search`` and ``validate``: from a network to a plan, and validation of a plan."""

from __future__ import annotations

import math
from dataclasses import fields

import gymnasium as gym
from rich.table import Table

from amc_gym.cli.commands import Search, Validate
from amc_gym.cli.console import CommandError, refuse_to_overwrite, say, watched
from amc_gym.cli.opening import name_of, opened
from amc_gym.cli.subjects import Options, Subject
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.plan import CompressionPlan
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from amc_gym.workflows.search import search as run_search
from amc_gym.workflows.validation import validate as replayed

UNDECIDED = 3
"""Exit status of a validation that can neither prove nor refute the budget."""


def _environment(subject: Subject, options: Options) -> AMCEnv:
    """Return the environment of a command."""
    chosen = {field.name: getattr(options, field.name) for field in fields(options)}
    if chosen["preserve_ratio"] == "none":
        chosen["preserve_ratio"] = None
        if not chosen["reward"].startswith("error-log"):
            raise CommandError(
                f"without a budget, reward {chosen['reward']!r} keeps the whole network: "
                "use --reward error-log-macs or error-log-params"
            )
    return make_env(
        name_of(subject),
        dataset=subject.dataset,
        data_root=subject.data_root,
        weights=subject.weights,
        **chosen,
    )


def search(command: Search) -> None:
    """Search with a progress bar, and save the best plan, also after an interruption."""
    out = command.out
    refuse_to_overwrite(out, force=command.force)
    env = _environment(command.subject, command.budget)
    best: list[CompressionPlan] = []
    try:
        found = run_search(
            env, command.evaluations, command.seed, progress=watched(), found=best.append
        )
        best.append(found)
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


def validate(command: Validate) -> None:
    """Show each claim beside the result, and fail unless all are proven."""
    saved = command.saved
    loaded, subject = opened(saved)
    validation = replayed(subject, loaded, latency_table=command.latency_table)
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
            f"{saved.plan} is neither proven nor refuted: everything else holds, but its budget "
            "can be checked only with the latency table that it was made with; name its file "
            "with --latency-table",
            status=UNDECIDED,
        )
    say(
        f"{saved.plan} holds" + (", as far as it can be proven here" if validation.unproven else "")
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if not math.isclose(value, round(value)) or value <= 1 else f"{value:,}"
