"""A user's own training loop as a run of a study; see `benchmarks.record`."""

from __future__ import annotations

import atexit
import json
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym

from agents import Episode, Recorder
from agents.sources import fingerprint_of_module
from amc_gym import CompressionPlan
from amc_gym._utils.files import lock
from amc_gym.envs.amc import AMCEnv
from benchmarks.studies import journals
from benchmarks.studies.execution import record_of, setting_in
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Run


class Recording(Recorder):
    """An environment whose episodes are written when they end; made by `benchmarks.record`.

    Attributes:
        run: the run; ``setting.episodes`` is 0 until the budget is known.
        record: the finished record; ``None`` until then.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        agent: str,
        seed: int,
        out: Path,
        episodes: int | None,
        arguments: Mapping[str, Any],
        rerun: bool,
    ) -> None:
        _check(env, agent, seed, episodes, arguments)
        super().__init__(env)
        self.record: Record | None = None
        self._amc: AMCEnv = env.unwrapped  # type: ignore[assignment]  # checked above
        spec = env.spec
        name = "AMC-v0" if spec is None else spec.id
        kwargs = {} if spec is None else _given(name, spec.kwargs)
        setting = setting_in(self._amc, name, kwargs, episodes or 0)
        # A user's loop is a script, whose code is that of the agent.
        code = fingerprint_of_module("__main__")
        self.run = Run(setting, agent, int(seed), code, arguments)
        self._store = Store(out)
        self._store.prepare()
        self._replaced = self._finished_before(rerun)
        self._journal: TextIO | None = self._open()
        self._written: CompressionPlan | None = None
        self.start(self._write, budget=episodes)
        atexit.register(self._end_of_program)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, recorded until the budget is spent."""
        if self._journal is None:  # finished: later steps are not recorded
            return self.env.step(action)
        stepped = super().step(action)
        if stepped[2] and self.budget is not None and self.evaluations >= self.budget:
            self.finish()
        return stepped

    def aside(self, counts: Any) -> float:
        """Evaluate a plan outside of episodes, and record it."""
        accuracy = super().aside(counts)
        if self._journal is not None and self.evaluations == self.budget:
            self.finish()
        return accuracy

    def _check_budget(self) -> None:
        """Do nothing: when the budget is spent, the record is finished and the loop continues."""

    def finish(self) -> Record | None:
        """Finish the record now; return ``None``, with a warning, if no episode was finished.

        Raises:
            OSError: the record cannot be written; the journal is kept.
        """
        if self._journal is None:
            return self.record
        if not self.history:
            self._close_journal()
            journals.path_of(self._store.folder, self.run).unlink(missing_ok=True)
            warnings.warn(
                f"nothing was recorded of {self.run}: no episode was finished", stacklevel=2
            )
            return None
        seconds = time.perf_counter() - self._began
        budget = self.budget or self.evaluations
        run = replace(self.run, setting=replace(self.run.setting, episodes=budget))
        path = self._store.path(run)
        if path.exists() and path not in self._replaced:
            self.abandon("a finished record that was written meanwhile")
            raise BenchmarkError(f"{path} was written meanwhile: the journal of this run is kept")
        result = self.result(run.agent, run.seed, seconds)
        self.record = record_of(run, self._amc, result)
        self._store.save(self.record)
        self._close_journal()
        journals.discard(self._store.folder, self.run)
        for old in self._replaced:
            if old != path:
                old.unlink(missing_ok=True)
        self.run = run
        return self.record

    def abandon(self, error: str = "") -> None:
        """Stop recording without a result; the journal is kept.

        Args:
            error: the reason, in one line.
        """
        if self._journal is None:
            return
        if self.history:
            self._journal.write(journals.last_line(" ".join(error.split())))
            self._close_journal()
        else:
            self._close_journal()
            journals.path_of(self._store.folder, self.run).unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the record, unless an exception is being handled, and close the environment."""
        self._end(sys.exc_info()[1])
        super().close()

    def __exit__(self, *exception: Any) -> bool:
        self._end(exception[1])
        super().close()
        return False

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self.finish()
        else:
            self.abandon(f"{type(error).__name__}: {error}")

    def _end_of_program(self) -> None:
        # Python stores the exception that ended the program here, if any.
        self._end(getattr(sys, "last_exc", None) or getattr(sys, "last_value", None))

    def _write(self, episode: Episode) -> None:
        assert self._journal is not None
        better = self.best is not self._written
        self._written = self.best
        entry = journals.entry(episode, self.best if better else None)
        self._journal.write(journals.episode_line(entry))
        self._journal.flush()

    def _open(self) -> TextIO:
        """Return this recording's journal, opened anew.

        Raises:
            BenchmarkError: another recording is writing it.
        """
        path = journals.path_of(self._store.folder, self.run)
        journal = path.open("a", encoding="utf-8")
        with suppress(OSError):  # a system without locks
            if not lock(journal.fileno(), wait=False):
                journal.close()
                raise BenchmarkError(
                    f"{self.run} is already being recorded in {self._store.folder}: close that "
                    "recording, or give this one another seed or folder"
                )
        journal.truncate(0)
        journal.write(journals.first_line(self.run))
        journal.flush()
        return journal

    def _close_journal(self) -> None:
        assert self._journal is not None
        self._journal.close()
        self._journal = None
        atexit.unregister(self._end_of_program)

    def _finished_before(self, rerun: bool) -> list[Path]:
        """Return records of the same run, with any budget if this one's is not settled.

        Raises:
            BenchmarkError: there is one, and ``rerun`` is False.
        """
        found = []
        for record in self._store.load()[0]:
            episodes = self.run.setting.episodes or record.run.setting.episodes
            mine = replace(self.run, setting=replace(self.run.setting, episodes=episodes))
            if record.run == mine:
                found.append(self._store.path(record.run))
        if found and not rerun:
            raise BenchmarkError(
                f"{self._store.folder} already holds a finished record of {self.run}: choose "
                "another seed or folder, or pass rerun=True"
            )
        return found


def _check(env: Any, agent: Any, seed: Any, episodes: Any, arguments: Mapping[str, Any]) -> None:
    if not isinstance(env, gym.Env):
        raise TypeError(
            f"record needs one environment, as gym.make('AMC-...') gives, not {type(env).__name__}"
        )
    if not isinstance(env.unwrapped, AMCEnv):
        raise TypeError(f"record needs an AMC environment, not {env.unwrapped!r}")
    if not isinstance(agent, str) or not agent.strip() or not agent.isprintable():
        raise ValueError(f"agent must be a name on one line, not {agent!r}")
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, not {seed!r}")
    if episodes is not None and (not _is_whole(episodes) or episodes < 1):
        raise ValueError(f"episodes must be a whole number from 1 or None, not {episodes!r}")
    try:
        json.dumps(dict(arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"arguments must be JSON values: {error}") from error


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _given(env: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment's keywords that JSON can hold, without a task given as an object."""
    registered = gym.spec(env).kwargs
    given = {}
    for key, value in kwargs.items():
        value = str(value) if isinstance(value, Path) else value
        if key in registered and registered[key] == value:
            continue
        with suppress(TypeError, ValueError):
            json.dumps(value)
            given[key] = value
    return given
