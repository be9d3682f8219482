"""Sections of a report, each on the runs of one setting, for all output formats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amc_gym.compression.cost import RESOURCES
from benchmarks.machine import described
from benchmarks.reports.statistics import Estimate, Row, rows_of
from benchmarks.studies.journals import Journal
from benchmarks.studies.records import Record
from benchmarks.studies.runs import Setting, distinguished

REWARDS: dict[str, str] = {
    "score": "score on the reward images",
    "accuracy": "accuracy on the reward images",
    "error": "−error on the reward images",
}
"""Reward option -> axis label; other rewards are shown by name."""


def origin(setting: Setting) -> str:
    """Return the names of a setting's network, data set and weights; of a file without folders.

    A report is passed on, and folders of one machine tell nobody anything; the task's fingerprint
    says which weights they are.
    """
    named = {name: value for name, value in setting.source.items() if value}
    shown = (f"{k} {Path(v).name if Path(v).is_absolute() else v}" for k, v in named.items())
    return ", ".join(shown) or "made from objects"


@dataclass(frozen=True)
class Section:
    """The runs of one setting.

    Attributes:
        setting: the setting.
        records: its finished runs, at least one.
        rows: one per agent.
        suffix: suffix of the names of its pictures.
    """

    setting: Setting
    records: tuple[Record, ...]
    rows: tuple[Row, ...]
    suffix: str

    @property
    def title(self) -> str:
        """Title with the environment and its budgets."""
        options = self.setting.options
        ratio, resource = options["preserve_ratio"], options["resource"]
        resource = RESOURCES[resource].title if resource in RESOURCES else resource
        budget = "no budget" if ratio is None else f"at most {ratio:.0%} of the {resource}"
        return f"{self.setting.env}, {budget}, {self.setting.episodes} evaluations"


def sections_of(records: Sequence[Record]) -> list[Section]:
    """Return the settings in order of environment and evaluations, each with its runs."""
    settings = dict.fromkeys(record.run.setting for record in records)
    runs = distinguished(record.run for record in records)
    records = [replace(record, run=runs[record.run]) for record in records]
    sections = []
    for setting in sorted(settings, key=lambda s: (s.env, s.episodes, s.digest)):
        mine = tuple(record for record in records if record.run.setting == setting)
        suffix = f"-{setting.digest}" if len(settings) > 1 else ""
        sections.append(Section(setting, mine, tuple(rows_of(mine)), suffix))
    return sections


HEADER = {
    "agent": "agent",
    "seeds": "seeds",
    "evaluations": "evals",
    "distinct plans": "plans",
    "reward accuracy %": "reward %",
    "test accuracy %": "test %",
    "MACs %": "MACs %",
    "seconds per run": "s",
    "agent's own seconds": "own s",
}
"""Column -> short name."""


def header(section: Section) -> dict[str, str]:
    """Return ``HEADER`` with the task's name of the score: "accuracy" for a classification."""
    score = section.records[0].best.plan.score_name
    return {column.replace("accuracy", score): name for column, name in HEADER.items()}


def cells(section: Section) -> list[tuple[str, ...]]:
    """Return the table's rows as text, the full network first."""
    full = section.records[0].full
    accuracies = percent(full.reward_accuracy), percent(full.test_accuracy)
    rows: list[tuple[str, ...]] = [("full network", "", "", "", *accuracies, "100.0", "", "")]
    for row in section.rows:
        rows.append(
            (
                row.agent,
                str(row.seeds),
                f"{row.evaluations:.0f}",
                f"{row.distinct:.0f}",
                interval(row.reward_accuracy),
                interval(row.test_accuracy),
                percent(float(row.macs_ratio.value)),
                f"{row.seconds:.1f}",
                f"{row.agent_seconds:.1f}",
            )
        )
    return rows


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, without the percent sign."""
    return f"{100 * share:.1f}"


def interval(estimate: Estimate) -> str:
    """Return a share and its interval, if there is one, in percent."""
    if math.isnan(float(estimate.low)):
        return percent(float(estimate.value))
    low, high = percent(float(estimate.low)), percent(float(estimate.high))
    return f"{percent(float(estimate.value))} [{low}, {high}]"


def caption(section: Section) -> str:
    """Return a short explanation of the table."""
    full = section.records[0].full
    return (
        f"Interquartile mean over seeds [95 % bootstrap interval]; {full.reward_images} reward "
        f"images, which the search saw; {full.test_images} test images, which it did not."
    )


def explanation(section: Section) -> str:
    """Return the full explanation of the table."""
    full = section.records[0].full
    return (
        f"{caption(section)} Each agent's best plan is the one with the highest reward of a run. "
        "An interval is missing where there is one run; with fewer than four seeds the "
        "interquartile mean is the mean, and the interval is too narrow to lean on. "
        f"The full network has {full.macs:,} MACs and {full.params:,} parameters."
    )


def unfinished_lines(journals: Sequence[Journal], missing: Sequence[str]) -> list[str]:
    """Return lines about runs that have no result.

    Args:
        journals: journals of runs that finished some episodes.
        missing: names of all requested runs without a record.
    """
    lines = [f"{journal.run}: {journal.state}" for journal in journals]
    rest = sorted(set(missing) - {journal.run.name for journal in journals})
    if rest:
        lines.append(f"nothing yet of {', '.join(rest)}")
    return lines


def codes(section: Section) -> str:
    """Return the agents' code fingerprints, as far as they are known."""
    known = dict.fromkeys(
        f"{record.run.label} {record.run.code}"
        for record in section.records
        if record.run.code is not None
    )
    unknown = dict.fromkeys(r.run.label for r in section.records if r.run.code is None)
    parts = [", ".join(known)] if known else []
    if unknown:
        parts.append(
            f"not known of {', '.join(unknown)}: records of an earlier version, or of code that is "
            "in no file"
        )
    return "; ".join(parts)


def distinct(tables: Iterable[dict]) -> list[str]:
    """Return each distinct table once, as text."""
    return list(dict.fromkeys(map(described, tables)))
