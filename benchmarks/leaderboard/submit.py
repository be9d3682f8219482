"""A submission made from the runs of one agent in a results folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from amc_gym.registration import IDS
from benchmarks.leaderboard.submission import Entry, Submission, sha256_of
from benchmarks.studies import manifest
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError


def submit(
    results: Path, agent: str, out: Path, authors: Sequence[str], *, name: str = "", how: str = ""
) -> Submission:
    """Write a submission: the best plan of each seed, and how it was found.

    Args:
        results: folder of runs.
        agent: agent of the runs.
        out: the submission's folder; new or empty.
        authors: who found the plans.
        name: name of the row in the table; by default, the agent's.
        how: how they were found; by default, the command that repeats the runs.

    Raises:
        BenchmarkError: there are no runs of the agent, or runs of several settings; the
            environment is not registered; or ``out`` is not empty.
    """
    records = _records(results, agent)
    setting = records[0].run.setting
    if setting.env not in IDS:
        raise BenchmarkError(f"{setting.env} has no leaderboard; {', '.join(IDS)} have one")
    if not authors:
        raise BenchmarkError("--authors names nobody")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchmarkError(f"{out} already exists: name a new folder with --out")
    try:
        (out / "plans").mkdir(parents=True, exist_ok=True)
        plans = tuple(_write_plan(record, out) for record in records)
    except OSError as error:
        raise BenchmarkError(f"cannot write to {out}: {error.strerror}") from error
    submission = Submission(
        name=name or agent,
        authors=tuple(authors),
        agent=agent,
        how=how or _command(records),
        env=setting.env,
        dataset=str(setting.source["dataset"]),
        weights=str(setting.source["weights"]),
        options=dict(setting.options),
        plans=plans,
    )
    submission.write(out)
    return Submission.read(out)


def _records(results: Path, agent: str) -> list[Record]:
    """Return the agent's runs by seed, all of one setting and with the same arguments."""
    records = manifest.current(results, Store(results).load()[0])
    mine = [record for record in records if record.run.agent == agent]
    if not mine:
        agents = ", ".join(sorted({record.run.agent for record in records})) or "no runs"
        raise BenchmarkError(f"{results} holds no run of {agent!r}; it holds {agents}")
    if len({(record.run.setting, record.run.label) for record in mine}) > 1:
        raise BenchmarkError(
            f"{results} holds runs of {agent!r} in several settings of task, options, budget or "
            "arguments: copy those of one setting to a folder of their own"
        )
    return sorted(mine, key=lambda record: record.run.seed)


def _write_plan(record: Record, out: Path) -> Entry:
    file = f"plans/seed{record.run.seed}.json"
    path = record.best.plan.save(out / file)
    sha256 = sha256_of(path.read_bytes())
    return Entry(file, record.run.seed, record.evaluations, sha256)


def _command(records: Sequence[Record]) -> str:
    setting = records[0].run.setting
    words = ["python", "-m", "benchmarks", "run", "--env", setting.env]
    words += ["--agents", records[0].run.agent]
    words += ["--seeds", str(max(record.run.seed for record in records) + 1)]
    words += ["--episodes", str(setting.episodes), "--out", "DIR"]
    if records[0].run.arguments:
        words += ["--agent-args", json.dumps(dict(records[0].run.arguments))]
    if setting.kwargs:
        words += ["--env-kwargs", json.dumps(dict(setting.kwargs))]
    return shlex.join(words)
