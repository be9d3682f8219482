"""How much of a step is finished, found without making an environment or reading data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import agents
from benchmarks.arguments import split
from benchmarks.finetuning.jobs import FULL, RECIPE
from benchmarks.finetuning.outcomes import load_all
from benchmarks.reproducing.configs import Stage
from benchmarks.studies.execution import import_modules
from benchmarks.studies.records import Store


def finished(step: Stage) -> tuple[int, int, str] | None:
    """Return (finished, total, unit); None if only the command itself can tell.

    Raises:
        BenchmarkError, ValueError: existing results cannot be read.
    """
    if step.command == "run":
        return _runs(step)
    if step.command == "finetuning":
        return _networks(step)
    file = step.prints or step.writes
    return None if file is None else (int(Path(file).exists()), 1, "file")


def _runs(step: Stage) -> tuple[int, int, str]:
    """Count the runs of the step's environment, options, evaluations, agents and seeds.

    Only the command itself can tell whether weights, images or an agent's code have changed since;
    it then repeats the runs.
    """
    options = step.options
    import_modules(split(options.get("modules", "")))
    wanted = {
        (agent, seed)
        for agent in agents.named(options["agents"])
        for seed in range(1 if agents.is_deterministic(agent) else options["seeds"])
    }
    records, _ = Store(Path(options["out"])).load()
    given = options.get("env-kwargs", {})
    kwargs = json.loads(given) if isinstance(given, str) else given
    alike = (options["env"], options["episodes"], kwargs)
    done = {
        (record.run.agent, record.run.seed)
        for record in records
        if (record.run.setting.env, record.run.setting.episodes, record.run.setting.kwargs) == alike
    }
    return len(wanted & done), len(wanted), "runs"


def _networks(step: Stage) -> tuple[int, int, str]:
    """Count the networks of the step's agents, recipe and seeds, with one plan for each agent."""
    folder, options = Path(step.arguments[0]), step.options
    names = options.get("agents") or sorted({r.run.agent for r in Store(folder).load()[0]})
    recipe = RECIPE.described() | {
        name.removeprefix("recipe.").replace("-", "_"): value
        for name, value in options.items()
        if name.startswith("recipe.")
    }
    seeds = range(recipe["seed"], recipe["seed"] + options.get("seeds", 3))
    wanted = {(agent, seed) for agent in (FULL, *names) for seed in seeds}
    done: set[tuple[str, Any]] = {
        (outcome.agent, outcome.finetuning_seed)
        for outcome in load_all(Path(options.get("out", folder / "finetuned")))
        if outcome.recipe | {"seed": 0} == recipe | {"seed": 0}
        and outcome.recovery in (options.get("recovery"), None)
    }
    return len(wanted & done), len(wanted), "networks"
