"""CompressionEnv: what all our environments do in an episode, whatever network it is played on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from amc_gym._utils.arguments import whole
from amc_gym._utils.names import choose
from amc_gym.compression.cost import Cost
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.engine import Engine
from amc_gym.envs.budget import Budget
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.picture import rgb_array
from amc_gym.envs.plain_spec import PlainSpec
from amc_gym.envs.problem import Problem, Problems
from amc_gym.envs.rendering import Frame, ansi
from amc_gym.envs.resetting import reset_options
from amc_gym.envs.sparsity import sparsity
from amc_gym.envs.viewing import Paced, viewer_of
from amc_gym.tasks.task import CompressionTask

RENDER_MODES = ("ansi", "rgb_array", "human")


class CompressionEnv(PlainSpec, gym.Env[Any, np.ndarray]):  # pyright: ignore[reportIncompatibleVariableOverride]
    """One episode compresses one network, unit by unit; `Problems` say which.

    Args:
        problems: of which each episode gets one.
        given: options of the environment.
        arguments: names of what it is made with, for messages.
        render_mode: ``None``, "ansi", "rgb_array", or "human": after each step a picture in the
            notebook's cell or a window, or where there is no screen a line in the terminal.

    Raises:
        ValueError: no such ``render_mode``.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        problems: Problems,
        given: EnvOptions,
        arguments: Iterable[str],
        *,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            render_mode = choose("render_mode", render_mode, RENDER_MODES)
        self.problems, self.given, self.render_mode = problems, given, render_mode
        self.observation_space = given.observing.space()
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_mode = given.action_mode
        self.arguments = tuple(arguments)
        self._problem: Problem | None = None
        self._viewer: Paced | None = None
        self._told: dict[str, Any] = {}
        self._executed: list[int] | None = None
        self._plan: CompressionPlan | None = None
        # In `execute`: the action that is on its way, and the count that it stands for.  Not every
        # admissible count is the answer to some action of every mode.
        self._demanded: tuple[float, int] | None = None

    @property
    def problem(self) -> Problem:
        """The network and budget of the episode; before the first one, where there is but one.

        Raises:
            gymnasium.error.ResetNeeded: none was drawn yet.
        """
        if self._problem is None:
            self._problem = self.problems.only()
        if self._problem is None:
            raise gym.error.ResetNeeded("reset() draws the network: call it first")
        return self._problem

    @property
    def engine(self) -> Engine:
        """What ranks, re-fits and evaluates."""
        return self.problem.engine

    @property
    def task(self) -> CompressionTask:
        """What is compressed."""
        return self.problem.task

    @property
    def budget(self) -> Budget:
        """Counts that may be kept in this episode."""
        return self.problem.budget

    @property
    def cost(self) -> Cost:
        """Cost in the budget's resource."""
        return self.problem.cost

    @property
    def options(self) -> dict[str, Any]:
        """Options that decide results, defaults resolved, as plans of this episode carry them."""
        return self.problem.options

    @property
    def steps_per_episode(self) -> int:
        """T, the number of units of the episode's network."""
        return len(self.problem)

    @property
    def plan(self) -> CompressionPlan:
        """The plan of the finished episode.

        Raises:
            RuntimeError: no episode has been finished since the last reset.
        """
        if self._plan is None:
            raise RuntimeError("no plan yet: step until the episode is terminated")
        return self._plan

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode with an uncompressed network.

        Args:
            seed: of ``np_random``; at least 0.
            options: what the environment's page says under "Reset"; everything else is said when
                it is made.

        Raises:
            TypeError: the seed is no number, the options are no mapping, or one has a wrong type.
            ValueError: the seed is below 0, or an option is unknown, out of range or infeasible.
        """
        if seed is not None:
            seed = whole("seed", seed, at_least=0, otherwise=" or None")
        found = reset_options(options, self.arguments, known=self.problems.options)
        super().reset(seed=seed)
        self._problem, self._told = self.problems.draw(found, self)
        self._executed = []
        self._plan = None
        self._view()
        return self._problem.observation.observe(()), dict(self._told)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Decide the sparsity of the next unit.

        Raises:
            ValueError: the action has another shape than (1,) or is NaN.
            gymnasium.error.ResetNeeded: the episode is over or was never started.
        """
        executed, problem = self.running(), self.problem
        ratio = sparsity(action)
        if self._demanded is not None and self._demanded[0] == ratio:
            executed.append(self._demanded[1])
        else:
            executed.append(problem.mode.decide(executed, ratio))
        terminated = len(executed) == len(problem)
        if terminated:
            reward, info = self.finish(self.engine.evaluator(executed))
        else:
            reward, info = 0.0, problem.decided(executed)
        self._view()
        return problem.observation.observe(executed), reward, terminated, False, info

    def ahead(self, plans: Sequence[tuple[int, ...]]) -> int:
        """Evaluate the first of some plans, as many as it pays to at once; see ``evaluated_ahead``.

        Returns:
            How many: a single one is left to its episode.
        """
        first = plans[: self.engine.evaluator.at_once]
        if len(first) > 1:
            self.engine.evaluate(first)
        return len(first)

    def execute(
        self, counts: Sequence[int], through: gym.Env[Any, Any] | None = None
    ) -> tuple[float, dict[str, Any]]:
        """Play the one episode that ends in a plan: its reward, and the last step's info.

        The network and the budget are those of the episode before.

        Args:
            counts: what each unit keeps, channels or weights: admissible, within the budget.
            through: this environment as it is wrapped, so that every wrapper sees the steps and
                the reward is what they make of it; ``None``: this one itself.

        Raises:
            ValueError: no such plan is within the budget, ``through`` is another environment, or
                a wrapper changes actions.
        """
        env = self if through is None else through
        if env.unwrapped is not self:
            raise ValueError("through must be this environment, wrapped, not another one")
        self.budget.check(counts)
        again: dict[str, Any] = {"options": self.problems.again(self._told)}
        env.reset(**again if again["options"] else {})
        reward: Any = 0.0
        info: dict[str, Any] = {}
        for t, count in enumerate(counts):
            # float64: in float32 a layer of millions of weights has no exact ratios.
            action = np.array([self.problem.mode.action(counts[:t], count)])
            try:
                self._demanded = sparsity(action), count
                _, reward, _, _, info = env.step(action)
            finally:
                self._demanded = None
            kept = info["channels"] if "channels" in info else info["weights"]
            if kept != count:
                raise ValueError(
                    f"unit {info['layer']!r} kept {kept} instead of {count}: a plan is executed "
                    "in an environment with unchanged actions, so take the wrapper off"
                )
        return float(reward), info

    def share(self, other: CompressionEnv) -> None:
        """Take the problems of an equal environment instead of one's own, which are the same."""
        self.problems, self._problem = other.problems, other._problem

    @property
    def counts(self) -> tuple[int, ...]:
        """Counts of the units that the episode has decided."""
        return tuple(self._executed or ())

    @property
    def fresh(self) -> bool:
        """Whether no episode was ever started."""
        return self._executed is None

    def running(self) -> list[int]:
        """Return counts of the units that the running episode has decided; a step appends one.

        Raises:
            gymnasium.error.ResetNeeded: the episode is over or was never started.
        """
        if self._executed is None or len(self._executed) == len(self.problem):
            raise gym.error.ResetNeeded("the episode is over: call reset() before step()")
        return self._executed

    def finish(self, found: Scored) -> tuple[float, dict[str, Any]]:
        """Reward and info of the last step, of whose plan the evaluator ``found`` the score."""
        assert self._executed is not None
        reward, info, self._plan = self.problem.finish(self._executed, found)
        return reward, info | self._told

    def render(self) -> Any:
        """Return the episode so far: a table as text, or a picture, (400, 600, 3) uint8.

        With ``render_mode="human"`` nothing is returned: it is shown, as after each step.

        Raises:
            gymnasium.error.ResetNeeded: nothing was started yet.
        """
        if self.render_mode is None:
            gym.logger.warn("render() without render_mode; pass render_mode='ansi' to gym.make")
            return None
        if self.render_mode == "human":
            self._view()
            return None
        frame = self._frame()
        return ansi(frame) if self.render_mode == "ansi" else rgb_array(frame)

    def close(self) -> None:
        """Close the window of ``render_mode="human"``, if there is one."""
        if self._viewer is not None:
            self._viewer.viewer.close()
            self._viewer = None
        super().close()

    def _view(self) -> None:
        """Show the episode so far to whoever watches."""
        if self.render_mode != "human":
            return
        if self._viewer is None:
            title = "AMC-Gym" if self.spec is None else self.spec.id
            self._viewer = Paced(viewer_of(title), self.metadata["render_fps"])
        self._viewer.show(self._frame())

    def _frame(self) -> Frame:
        """Return the episode so far, as it is shown.

        Raises:
            gymnasium.error.ResetNeeded: nothing was started yet.
        """
        if self._executed is None:
            raise gym.error.ResetNeeded("nothing to render yet: call reset() first")
        problem = self.problem
        limit = problem.budget.limit
        return Frame(
            names=[unit.name for unit in problem.units],
            channels=self.engine.graph.full,
            executed=tuple(self._executed),
            resource=self.options["resource"],
            ratio=problem.ratio(self._executed),
            score=None if self._plan is None else self._plan.measured.score,
            score_name="accuracy" if self.engine.objective.classifies else "score",
            budget=None if limit is None else limit / problem.cost.full,
        )
