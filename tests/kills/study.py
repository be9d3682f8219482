"""Studies, `python -m benchmarks run`: finished runs stay, and none is done twice.

A small study with real agents on a real environment is killed at random moments and begun again
until it ends.  Then its folder is compared with that of the first study, which was not killed,
and cleared, and the next study begins.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.studies import manifest
from benchmarks.studies.records import MANIFEST, Record, Store
from tests.kills.harness import Done

ROOT = Path(__file__).parents[2]
ENV = "AMC-MobileNet-v0"
KWARGS = {"weights": "random", "reward_images": 20, "recovery": "none"}
AGENTS = "random,amc-ddpg,uniform"


class Study:
    """A scenario: a study with two workers.

    Args:
        folder: Folder for all files.
        seeds: Number of seeds of each agent.
        episodes: Number of episodes of each run.
    """

    def __init__(self, folder: Path, seeds: int = 2, episodes: int = 12) -> None:
        self.folder = folder
        self._out = folder / "out"
        self._words = ["--seeds", str(seeds), "--episodes", str(episodes)]
        self._seen: dict[str, bytes] = {}
        self._runs = 2 * seeds + 1
        self._expected: dict[str, tuple[Any, ...]] = {}

    def command(self) -> list[str]:
        """Return the study's command, which goes on where it was killed."""
        words = [sys.executable, "-m", "benchmarks", "run", "--env", ENV, "--agents", AGENTS]
        words += ["--env-kwargs", json.dumps(KWARGS), "--workers", "2"]
        return [*words, *self._words, "--out", str(self._out)]

    def killed(self) -> None:
        """Check that finished runs are whole and unchanged, and no other file looks like one."""
        if not self._out.exists():
            assert not self._seen, "the folder is gone"
            return
        self._compare(self._records(self._out))
        others = {path.name for path in self._out.iterdir()} - set(self._seen) - {MANIFEST}
        strange = [name for name in others if not name.endswith((".partial", ".jsonl"))]
        assert not strange, f"unknown files: {strange}"
        if (self._out / MANIFEST).exists():
            asked = set(manifest.asked(self._out).values())
            whole = asked == set(self._expected) if self._expected else len(asked) == self._runs
            assert whole, "what was asked for is not there as a whole"

    def finished(self, done: Done) -> None:
        """Check that each run is there once and equals one without kills; clear the folder."""
        assert done.returncode == 0, f"exit status {done.returncode}: {done.output[-500:]}"
        records = self._records(self._out)
        self._compare(records)
        found = {record.run.name: outcome(record) for record in records}
        assert len(found) == self._runs, "not all runs"
        self._expected = self._expected or found
        assert found == self._expected, "other outcomes than those of another run"
        names = {path.name for path in self._out.iterdir()}
        left = names - {f"{name}.json" for name in found} - {MANIFEST}
        assert not left, f"left over: {sorted(left)}"
        shutil.rmtree(self._out)
        self._seen = {}

    def _records(self, folder: Path) -> list[Record]:
        records, foreign = Store(folder).load()
        assert not foreign, f"damaged: {foreign}"
        return records

    def _compare(self, records: list[Record]) -> None:
        """Check that no finished run is lost or was done again."""
        now = {
            f"{r.run.name}.json": (self._out / f"{r.run.name}.json").read_bytes() for r in records
        }
        lost = set(self._seen) - set(now)
        assert not lost, f"lost: {sorted(lost)}"
        again = [name for name, content in self._seen.items() if now[name] != content]
        assert not again, f"done twice: {again}"
        self._seen = now


def outcome(record: Record) -> tuple[Any, ...]:
    """Return a run's result without times, which differ each time."""
    history, best = record.history, record.best
    return history.channels, history.reward, best.plan.kept, best.test_accuracy, record.distinct


def environment() -> dict[str, str]:
    """Return this process's variables, with the checkout's modules and one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
