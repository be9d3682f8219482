"""The problem of an episode: one network to compress within one budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import lcm
from typing import Any, Protocol

import numpy as np

from amc_gym._utils.own_code import qualified
from amc_gym.compression.cost import Cost
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.engine import Engine
from amc_gym.envs.actions import ACTION_MODES
from amc_gym.envs.allocation import Allocation
from amc_gym.envs.budget import Budget
from amc_gym.envs.finished import finished_plan, reported_costs, terminal_info
from amc_gym.envs.options import DEFAULT, LATENCY, PAPER, EnvOptions
from amc_gym.envs.rewards import References
from amc_gym.envs.sparsity import per_unit
from amc_gym.tasks.task import CompressionTask

LATEST = 64
"""Number of a network's budgets whose problems are cached."""


class Problem:
    """A network to compress within a budget; nothing in it changes from step to step.

    Args:
        engine: ranks, re-fits and evaluates.
        options: budget, reward, and what actions and observations mean.
        latency: latency model of the network, if latency is needed.
        task: the engine's task, or one of the same objects under another name.
        context: name of the context in a suite, stored in plans.

    Attributes:
        cost: in the budget's resource.
        options: those that determine results, with defaults resolved; they identify plans.
        budget: the counts that may be kept.
        allocation: plans that need no evaluation.
        mode: turns actions into counts.
        observation: turns the counts so far into what the agent sees.

    Raises:
        ValueError: the task is not the engine's, latency is missing, or the budget is infeasible.
    """

    def __init__(
        self,
        engine: Engine,
        options: EnvOptions,
        *,
        latency: LatencyCost | None = None,
        task: CompressionTask | None = None,
        context: str | None = None,
    ) -> None:
        if options.timed and latency is None:
            raise ValueError("these options need a latency: pass latency=engines.latency(...)")
        self.engine, self.given, self.latency, self.context = engine, options, latency, context
        self.task = engine.task if task is None else task
        if self.task != engine.task:
            raise ValueError("task must be the engine's, or one made of the same objects")
        self.units = engine.graph.units
        self.cost: Cost = (
            latency
            if latency and options.resource_name == LATENCY
            else engine.cost(options.resource)
        )
        self.costs = reported_costs(engine, self.cost, latency)
        self.options = self._resolved()
        self.budget = self._budget()
        self.allocation = Allocation(engine, self.cost, self.budget)
        self.mode = ACTION_MODES[options.action_mode](self.allocation)
        if options.rewarding.compared:
            self.allocation.demand_budget(f"reward={options.rewarding.name!r}")
        self.observation = options.observing(self.allocation)

    def __len__(self) -> int:
        """Return T, the number of units, which is the number of steps of an episode."""
        return len(self.units)

    def _resolved(self) -> dict[str, Any]:
        given, judged, ratio = self.given, self.engine.options, self.given.preserve_ratio
        ratios, importance = given.max_sparsity, judged.importance
        if ratios is None:
            ratios = self.engine.pruning.max_sparsity
        multiple = given.channel_multiple
        if multiple is None:
            # A count between two steps of the device takes as long as the upper one, and holds
            # less.
            block = self.latency.table.block if self.latency else 1
            multiple = lcm(self.task.channel_multiple, block)
        resolved: dict[str, Any] = {
            "resource": given.resource_name,
            "preserve_ratio": self.task.preserve_ratio if ratio == DEFAULT else ratio,
            "granularity": judged.granularity,
            "reward": self._reward_name(),
            "action_mode": given.action_mode,
            "importance": importance if isinstance(importance, str) else qualified(importance),
            "recovery": str(judged.recovery),
            "metric": self.engine.objective.name,
            "max_sparsity": dict(ratios) if isinstance(ratios, Mapping) else ratios,
            "channel_multiple": multiple,
            "reward_images": self.engine.reward_images,
            "precision": self.engine.precision,
        }
        if given.observation != PAPER:  # plans made before there was a choice do not state it
            resolved["observation"] = given.observation
        if self.context is not None:
            resolved["context"] = self.context
        if self.latency is not None:
            table = self.latency.table
            resolved["latency"] = {"device": str(table.device), "table": table.fingerprint}
        return resolved

    def _reward_name(self) -> str:
        """Return the reward's name for the task: "accuracy" is the score of a classifier."""
        name = self.given.rewarding.name
        return "score" if name == "accuracy" and not self.engine.objective.classifies else name

    def _budget(self) -> Budget:
        """Return the budget under the resolved options."""
        graph, options = self.engine.graph, self.options
        kinds = [graph.layers[unit.consumers[0]].kind for unit in self.units]
        return Budget(
            self.cost.total,
            graph.full,
            preserve_ratio=options["preserve_ratio"],
            max_sparsity=per_unit(options["max_sparsity"], kinds),
            steps=[lcm(options["channel_multiple"], unit.blocks) for unit in self.units],
        )

    @cached_property
    def references(self) -> References:
        """Scores of the uniform plan and of the full network, evaluated when first asked for."""
        self.allocation.demand_budget("the uniform plan")
        plans = [self.allocation.uniform, self.engine.graph.full]
        uniform, full = self.engine.evaluate(plans)
        return References(uniform.score, full.score)

    def ratio(self, executed: Sequence[int]) -> float:
        """Return the share of the full cost with ``executed`` counts and all later units full."""
        full = self.engine.graph.full
        return self.cost.total([*executed, *full[len(executed) :]]) / self.cost.full

    def decided(self, executed: Sequence[int]) -> dict[str, Any]:
        """Return the info about the unit that was decided last."""
        unit, kept = self.units[len(executed) - 1], executed[-1]
        return {
            "layer": unit.name,
            "sparsity": 1 - kept / unit.channels,
            "channels" if unit.inputs is None else "weights": kept,
        }

    def finish(
        self, counts: Sequence[int], found: Scored
    ) -> tuple[float, dict[str, Any], CompressionPlan]:
        """Return reward, info and plan of a finished episode.

        Args:
            counts: of every unit.
            found: score on the reward images.
        """
        plan = finished_plan(self.task, self.engine, self.costs, self.options, tuple(counts), found)
        info = self.decided(counts) | terminal_info(plan, self.costs)
        rewarding = self.given.rewarding
        references = self.references if rewarding.compared else None
        return rewarding(plan.measured, references), info, plan


class Source(Protocol):
    """An environment that draws random numbers."""

    @property
    def np_random(self) -> np.random.Generator:
        """The random generator, which is seeded when it is first used."""
        ...


class Problems(Protocol):
    """The source of the problems that an environment's episodes are played on."""

    @property
    def options(self) -> Iterable[str]:
        """Options of ``reset`` that choose among the problems."""
        ...

    def draw(self, options: Mapping[str, Any], source: Source) -> tuple[Problem, dict[str, Any]]:
        """Return the problem of a new episode, and what ``info`` says about it.

        Args:
            options: of ``reset``; each is in ``self.options``.
            source: of random numbers.

        Raises:
            TypeError, ValueError: there is no such problem; the message names the option.
        """
        ...

    def only(self) -> Problem | None:
        """Return the problem of every ``reset`` without options; None if it is drawn."""
        ...

    def redraw_options(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return options of ``reset`` that draw the problem again that ``info`` described."""
        ...


class OneNetwork:
    """One network, whose budget ``reset(options={"preserve_ratio": ...})`` may change.

    Args:
        first: the problem of a ``reset`` without options.
    """

    options = ("preserve_ratio",)

    def __init__(self, first: Problem) -> None:
        self.first = first
        self._others: OrderedDict[float | str | None, Problem] = OrderedDict()

    def draw(self, options: Mapping[str, Any], source: Source) -> tuple[Problem, dict[str, Any]]:
        """Return the first problem, or the one of another budget, which ``info`` then states."""
        if "preserve_ratio" not in options:
            return self.first, {}
        problem = self._at(replace(self.first.given, preserve_ratio=options["preserve_ratio"]))
        return problem, {"preserve_ratio": problem.options["preserve_ratio"]}

    def only(self) -> Problem:
        """Return the first problem."""
        return self.first

    def redraw_options(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return the budget, if the episode had another one."""
        return dict(info)

    def _at(self, options: EnvOptions) -> Problem:
        first, ratio = self.first, options.preserve_ratio
        if ratio == first.given.preserve_ratio:
            return first
        if ratio not in self._others:
            self._others[ratio] = Problem(
                first.engine, options, latency=first.latency, task=first.task
            )
        self._others.move_to_end(ratio)
        while len(self._others) > LATEST:
            self._others.popitem(last=False)
        return self._others[ratio]
