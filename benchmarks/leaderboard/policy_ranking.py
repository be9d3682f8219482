"""Evaluation of policies by the transfer protocol on test networks, and their table.

Every policy plays on the same contexts by its registered loader, and nothing of a submission is
imported or unpickled.  Trials are kept, so that only new policies are evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

import agents
from amc_gym.suites.context import Context
from amc_gym.suites.suite import suite_of
from benchmarks.leaderboard.policy_submission import PolicySubmission
from benchmarks.leaderboard.submission import SubmissionError
from benchmarks.reports.escaping import markdown_code, markdown_link, markdown_text
from benchmarks.reports.tables import markdown
from benchmarks.studies.executor import Executor
from benchmarks.transfer import rows, trials
from benchmarks.transfer.intervals import estimate, scores
from benchmarks.transfer.rows import Row
from benchmarks.transfer.summary import GROUPS, groups_of
from benchmarks.transfer.table import cell

SUITE, JUDGED = "zoo-test-v1", ("members", "family")
"""Suite and groups of contexts that policies are evaluated on."""

EVALUATIONS = {"amc-policy": 40}
"""Loader -> number of evaluations it can use; others play one episode."""

BESIDE = {"uniform": 1, "error-allocation": 1, "loss-allocation": 1}
"""Agents without a policy in the table, and their numbers of evaluations."""

SHOWN = (1, 4, 40)
"""Numbers of evaluations after which scores are reported."""


def contexts() -> list[Context]:
    """Return the contexts that policies are evaluated on."""
    return [each for each in suite_of(SUITE).contexts if each.group in JUDGED]


def trial_of(folder: Path, submission: PolicySubmission) -> trials.Trial:
    """Return the trial of a submission on each context."""
    weights = (folder / submission.file).resolve()
    code = agents.fingerprint(submission.agent, weights=weights)
    episodes = EVALUATIONS.get(submission.loader, 1)
    return trials.Trial(submission.agent, 0, episodes, weights, code, folder.resolve().name)


def check(folder: Path, submission: PolicySubmission, context: Context) -> None:
    """Check that a policy loads and plays one episode.

    Raises:
        SubmissionError: it does not; the message says why.
    """
    trial = replace(trial_of(folder, submission), episodes=1)
    try:
        trials.played(context, trial, None)
    except Exception as error:  # any failure of a submitted policy is a verdict
        said = " ".join(str(error).split()) or type(error).__name__
        raise SubmissionError(f"{folder}: its policy cannot be played: {said}") from error


def judge(
    submissions: Mapping[Path, PolicySubmission],
    on: Sequence[Context],
    file: Path,
    executor: Executor,
    console: Console,
) -> list[Row]:
    """Evaluate policies and agents without one, as far as the file lacks their trials.

    Args:
        submissions: by folder.
        on: contexts.
        file: Parquet file of the trials.
        executor: runs them, by ``trials.work``.
        console: console that shows progress.

    Returns:
        Trials of these policies and agents on these contexts.
    """
    wanted = [*trials.trials_of(BESIDE, 1), *(trial_of(*each) for each in submissions.items())]
    trials.run(on, wanted, file, executor, console)
    known = {(trial.agent, trial.policy, trial.code) for trial in wanted}
    places = {context.name for context in on}
    return [
        row
        for row in rows.load(file)
        if (row["agent"], row["policy"], row["code"]) in known and row["context"] in places
    ]


def unfinished(found: Sequence[Row], folders: Iterable[str], n: int) -> dict[str, str]:
    """Return folder -> reason for policies that did not finish on each of n contexts."""
    done = Counter(row["policy"] for row in found)
    return {
        name: f"it failed on {n - done[name]} of {n} contexts" for name in folders if done[name] < n
    }


def table(
    found: Sequence[Row],
    submissions: Mapping[str, PolicySubmission],
    refused: Mapping[str, str] | None = None,
) -> str:
    """Return the leaderboard of policies.

    Args:
        found: trials.
        submissions: by folder's name.
        refused: folders that are not submissions, and why.
    """
    lines = [
        "# Leaderboard of policies",
        "",
        "Written by `python -m benchmarks leaderboard-policies`, which judges every policy on "
        f"`{SUITE}`; `docs/leaderboard.md` says how to take part. Best relative reward so far (0: "
        "uniform plan, 1: full network): interquartile mean over contexts [95 % bootstrap interval "
        "over networks]. The rank is by one evaluation, zero-shot. What a policy was trained on is "
        "what the authors say.",
        "",
    ]
    for group in groups_of(found):
        lines += [f"## {group}: {GROUPS.get(group, group)}", ""]
        lines += [*_table([row for row in found if row["group"] == group], submissions), ""]
    if refused:
        lines += ["## Not judged", ""]
        lines += [
            f"- {markdown_code(folder)}: {markdown_text(reason)}"
            for folder, reason in sorted(refused.items())
        ] + [""]
    return "\n".join(lines)


def _table(found: Sequence[Row], submissions: Mapping[str, PolicySubmission]) -> list[str]:
    entries = []
    for who in dict.fromkeys((row["agent"], row["policy"]) for row in found):
        mine = [row for row in found if (row["agent"], row["policy"]) == who]
        known = {n: scores(mine, n) for n in SHOWN}
        entries.append((who, {n: estimate(s) for n, s in known.items() if len(s.values)}))
    entries.sort(key=lambda entry: -float(entry[1][1].value))
    lines, rank = [], 0
    for (agent, policy), each in entries:
        figures = [cell(each.get(n)) for n in SHOWN]
        if policy:
            rank, said = rank + 1, submissions[policy]
            link = markdown_link(said.name, f"{quote(policy)}/policy.json")
            lines.append([str(rank), link, ", ".join(said.authors), said.loader, *figures])
        else:
            lines.append(["", agent, "", "", *figures])
    header = ["rank", "policy", "authors", "loader", *(f"after {n}" for n in SHOWN)]
    return markdown(header, lines, words=4)
