"""Problems of a suite: the context of each episode, drawn or named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amc_gym._utils.grad_mode import recorded
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.problem import Problem, Source
from amc_gym.suites.context import Context
from amc_gym.suites.engines import BoundedEngines, engines
from amc_gym.suites.suite import Suite
from amc_gym.zoo.resolving import resolve


class SuiteProblems:
    """Contexts drawn for each episode, all with the same probability, and their problems.

    Args:
        suite: the contexts.
        judged: options of every engine; those that a context sets itself take precedence.
        given: options of every episode, likewise.
        data_root: folder of data sets that are read from disk.
        store: cache of the engines.

    Raises:
        ValueError: the options do not suit what a context prunes.
    """

    options = ("context", "network", "preserve_ratio")

    def __init__(
        self,
        suite: Suite,
        judged: EngineOptions,
        given: EnvOptions,
        *,
        data_root: str | Path | None = None,
        store: BoundedEngines = engines,
    ) -> None:
        self.suite, self._given, self._data_root, self._store = suite, given, data_root, store
        self.made_with = judged, given
        granularities = {context.granularity for context in suite.contexts}
        self._judged = {each: replace(judged, granularity=each) for each in granularities}

    def draw(self, options: Mapping[str, Any], source: Source) -> tuple[Problem, dict[str, Any]]:
        """Return the problem of a context, with the name and budget that ``info`` reports."""
        problem = self._problem(self._chosen(options, source))
        info = {name: problem.options[name] for name in ("context", "preserve_ratio")}
        return problem, info

    def only(self) -> Problem | None:
        """Return the problem of a suite with a single context, otherwise ``None``."""
        contexts = self.suite.contexts
        return self._problem(contexts[0]) if len(contexts) == 1 else None

    def redraw_options(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reset options that repeat an episode: the name of its context."""
        return {"context": info["context"]} if info else {}

    def _chosen(self, options: Mapping[str, Any], source: Source) -> Context:
        if "context" in options:
            if "network" in options:
                raise ValueError(
                    "options name a context and a network: a context has its network, so name "
                    "one of them"
                )
            context = self.suite[options["context"]]
        else:
            among = self.suite.contexts
            if "network" in options:
                among = self.suite.of(options["network"])
            context = among[int(source.np_random.integers(len(among)))]
        if "preserve_ratio" in options:
            made = context.at(options["preserve_ratio"])
            alike = (each for each in self.suite.contexts if each.name == made.name)
            context = next(alike, made)
        return context

    @recorded
    def _problem(self, context: Context) -> Problem:
        task = resolve(
            context.task,
            dataset=context.dataset,
            data_root=self._data_root if context.registered else None,
            weights=context.weights,
        )

        def make(engine: Engine) -> Problem:
            given = replace(
                self._given, resource=context.resource, preserve_ratio=context.preserve_ratio
            )
            try:
                return Problem(engine, given, task=task, context=context.name)
            except ValueError as error:
                raise ValueError(f"context {context.name!r}: {error}") from error

        judged = self._judged[context.granularity]
        return self._store.problem(task, judged, self, str(context.name), make)
