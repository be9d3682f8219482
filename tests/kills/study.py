"""A study, `python -m benchmarks run`: finished runs stay, and none is done twice.

A small study, `python -m benchmarks run` with real agents on a real environment, is killed at
random moments and begun again until it ends; then its folder is compared with that of the first
study that came to its end, which nobody killed, and cleared, and all begins anew.
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
    """Some runs in two workers.

    Args:
        folder: where everything goes.
        seeds: of each agent.
        episodes: of each run.
    """

    def __init__(self, folder: Path, seeds: int = 2, episodes: int = 12) -> None:
        self.folder = folder
        self._out = folder / "out"
        self._words = ["--seeds", str(seeds), "--episodes", str(episodes)]
        self._seen: dict[str, bytes] = {}
        self._runs = 2 * seeds + 1
        self._expected: dict[str, tuple[Any, ...]] = {}

    def command(self) -> list[str]:
        """The study; it goes on where it was killed."""
        words = [sys.executable, "-m", "benchmarks", "run", "--env", ENV, "--agents", AGENTS]
        words += ["--env-kwargs", json.dumps(KWARGS), "--workers", "2"]
        return [*words, *self._words, "--out", str(self._out)]

    def killed(self) -> None:
        """What was finished is whole and as it was; nothing else looks like a result."""
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
        """Every run is there once, and as it is without kills; then the folder is cleared."""
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
        """No finished run may be lost, or have been done again."""
        now = {
            f"{r.run.name}.json": (self._out / f"{r.run.name}.json").read_bytes() for r in records
        }
        lost = set(self._seen) - set(now)
        assert not lost, f"lost: {sorted(lost)}"
        again = [name for name, content in self._seen.items() if now[name] != content]
        assert not again, f"done twice: {again}"
        self._seen = now


def outcome(record: Record) -> tuple[Any, ...]:
    """What a run came to, less what differs each time."""
    history, best = record.history, record.best
    return history.channels, history.reward, best.plan.kept, best.test_accuracy, record.distinct


def environment() -> dict[str, str]:
    """This process's, with the checkout's modules and one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
