"""Report on fine-tuned networks: finetuned.md, finetuned.csv and a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agents import kind_of
from amc_gym._utils.documents import checksum
from amc_gym._utils.files import write_whole
from amc_gym.training.recipe import LATER
from benchmarks.finetuning.figure import draw
from benchmarks.finetuning.jobs import FULL
from benchmarks.finetuning.outcomes import Outcome, load_all
from benchmarks.finetuning.paired import Difference, difference, no_loss
from benchmarks.reports.escaping import PlainRows
from benchmarks.reports.sections import distinct
from benchmarks.reports.tables import write_page
from benchmarks.studies.runs import BenchmarkError

COLUMNS = (
    "plan of",
    "MACs %",
    "params %",
    "before %",
    "after %",
    "against full",
    "no loss",
    "against a rule",
    "plans x seeds",
)


@dataclass(frozen=True)
class Row:
    """The figures of one agent's fine-tuned plans.

    Attributes:
        agent: its name and whether plans were shrunk, see ``Outcome.label``; or the full network.
        macs: share of the full network's, mean over plans.
        params: likewise.
        before: test accuracy before fine-tuning, mean over plans.
        after: test accuracy after it, mean over plans and seeds.
        against: difference to the full network that was trained further by the same recipe; None
            for that network itself.
        no_loss: whether it lost nothing (``paired.no_loss``); None for the full network.
        against_rule: difference to the best rule; None for that rule, for the full network, and if
            no rule was fine-tuned.
        plans: number of plans.
        seeds: number of fine-tuning seeds for each plan.
    """

    agent: str
    macs: float
    params: float
    before: float
    after: float
    against: Difference | None
    no_loss: bool | None
    against_rule: Difference | None
    plans: int
    seeds: int


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return one row per agent: the full network first, then by accuracy.

    Raises:
        ValueError: the outcomes have different images or recipes, or the full network is missing.
    """
    for what, values in (
        ("test images", {o.before.split for o in outcomes}),
        # The full network is not shrunk, and shrunk networks are not recovered.
        ("recipes", {checksum(o.recipe | {"seed": None, "shrink": 0}) for o in outcomes}),
        ("shrinking", {o.recipe["shrink"] for o in outcomes if _shrinks(o)}),
        ("teachers", {o.teacher for o in outcomes}),
        ("recoveries", {o.recovery for o in outcomes if not _shrinks(o)}),
    ):
        if len(values) > 1:
            raise ValueError(f"the outcomes differ in {what}: give each its own --out")
    by_agent: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_agent.setdefault(outcome.label, []).append(outcome)
    if FULL not in by_agent:
        raise ValueError("the full network is not fine-tuned yet: repeat the fine-tuning")
    bits = {agent: [o.after.array for o in theirs] for agent, theirs in by_agent.items()}
    training = difference(bits[FULL], [by_agent[FULL][0].before.array])
    to_full = {
        agent: difference(theirs, bits[FULL]) for agent, theirs in bits.items() if agent != FULL
    }
    rule = best_rule(outcomes)
    rows = [
        Row(
            agent=agent,
            macs=_mean(o.macs_ratio for o in theirs),
            params=_mean(o.params_ratio for o in theirs),
            before=_mean(o.before.accuracy for o in theirs),
            after=_mean(o.after.accuracy for o in theirs),
            against=to_full.get(agent),
            no_loss=no_loss(to_full[agent], training) if agent in to_full else None,
            against_rule=(
                None
                if rule is None or agent in (FULL, rule)
                else difference(bits[agent], bits[rule])
            ),
            plans=len({o.search_seed for o in theirs}),
            seeds=len({o.finetuning_seed for o in theirs}),
        )
        for agent, theirs in by_agent.items()
    ]
    return sorted(rows, key=lambda row: (row.agent != FULL, -row.after))


def best_rule(outcomes: Iterable[Outcome]) -> str | None:
    """Return the rule with the best mean accuracy after fine-tuning; None if there is none.

    The paper's figure 2 compares with such policies, which search nothing.
    """
    accuracies: dict[str, list[float]] = {}
    for outcome in outcomes:
        if kind_of(outcome.agent) == "rule":
            accuracies.setdefault(outcome.label, []).append(outcome.after.accuracy)
    return max(accuracies, key=lambda agent: _mean(accuracies[agent]), default=None)


def write(folder: Path, console: Console) -> list[Row]:
    """Report on the outcomes in ``folder``, by files in it and on ``console``.

    Raises:
        BenchmarkError: there are no outcomes, or they cannot be compared.
    """
    try:
        outcomes = load_all(folder)
        if not outcomes:
            raise ValueError(f"no fine-tuned networks in {folder}")
        rows = rows_of(outcomes)
    except (OSError, ValueError) as error:
        raise BenchmarkError(str(error)) from error
    title, notes = _words(outcomes)
    cells = [_cells(row) for row in rows]
    picture = "![Accuracy before and after](finetuned.png)"
    path = folder / "finetuned.md"
    write_page(path, title, COLUMNS, cells, notes, picture=picture, console=console)
    write_whole(folder / "finetuned.csv", _csv(rows))
    draw(outcomes, folder / "finetuned.png", title=title)
    console.print(f"written to {folder}: finetuned.md, finetuned.csv, finetuned.png")
    return rows


def _words(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Return title and footnote."""
    plan = next(o.plan for o in outcomes if o.plan is not None)
    task, ratio = plan.task, plan.options["preserve_ratio"]
    budget = "" if ratio is None else f", at most {ratio:.0%} of its {plan.options['resource']}"
    any_one = next(o for o in outcomes if not _shrinks(o))
    recipe = any_one.recipe
    where = " and on ".join(distinct(each.machine for each in outcomes))
    torches = " and ".join(sorted({each.versions["torch"] for each in outcomes}))
    shown = ("epochs", "batch_size", "learning_rate", "schedule", "weight_decay")
    shown += ("label_smoothing", "distillation", "shift", "flip", "precision")
    cut = [o.recovery for o in outcomes if o.agent != FULL and not _shrinks(o)]
    start = (plan.options["recovery"] if cut[0] is None else cut[0]) if cut else "none"
    shown += tuple(name for name in LATER if name in recipe)
    settings = ", ".join(f"{name} {recipe[name]}" for name in shown)
    settings += f", taught by {any_one.teacher}" if any_one.teacher else ""
    shrunk = next((f"{o.recipe['shrink']} epochs" for o in outcomes if _shrinks(o)), None)
    shrinking = f" Shrunk: in the first {shrunk}, then cut without recovery." if shrunk else ""
    rule = best_rule(outcomes)
    the_rule = "" if rule is None else f"The rule compared with is the best one: {rule}. "
    notes = (
        f"{any_one.before.images} test images, which no search and no training saw. Accuracies "
        "are means over plans and fine-tuning seeds; differences to the full network, trained "
        "further, are in points, with the 95 % interval of a bootstrap over images and seeds. No "
        "loss: a mean of at least -0.2 points, an interval that is not all below 0, and a "
        "recipe that does not harm the full network: its own interval is not all below 0. "
        f"{the_rule}Recovery before fine-tuning: {start}; fine-tuning: {settings}.{shrinking} "
        f"Measured on {where}; torch {torches}."
    )
    return f"{task['task']} on {task['dataset']}{budget}: fine-tuned", notes


def _shrinks(outcome: Outcome) -> bool:
    return bool(outcome.recipe.get("shrink"))


def _cells(row: Row) -> list[str]:
    against = row.against
    return [
        row.agent,
        *(f"{100 * x:.1f}" for x in (row.macs, row.params)),
        *(f"{100 * x:.2f}" for x in (row.before, row.after)),
        "" if against is None else str(against),
        "" if row.no_loss is None else ("yes" if row.no_loss else "no"),
        "" if row.against_rule is None else str(row.against_rule),
        f"{row.plans} x {row.seeds}",
    ]


def _csv(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = PlainRows(text)
    names = ("agent", "macs", "params", "before", "after", "difference", "low", "high")
    rule = ("against_rule", "rule_low", "rule_high")
    writer.writerow([*names, "no_loss", *rule, "plans", "seeds"])
    for row in rows:
        d, r = row.against, row.against_rule
        differences = ("",) * 4 if d is None else (d.mean, d.low, d.high, row.no_loss)
        to_rule = ("",) * 3 if r is None else (r.mean, r.low, r.high)
        figures = (row.macs, row.params, row.before, row.after)
        writer.writerow([row.agent, *figures, *differences, *to_rule, row.plans, row.seeds])
    return text.getvalue()


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)
