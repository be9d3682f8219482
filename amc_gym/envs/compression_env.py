"""CompressionEnv: the episode that all environments of the package share, for any network."""

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
    """An environment in which an episode compresses one network, unit by unit.

    Args:
        problems: source of each episode's problem: its network and budget.
        given: options of the environment.
        arguments: names of the keywords that it is made with, for messages.
        render_mode: ``None``, "ansi", "rgb_array", or "human", which shows a picture after each
            step, in the notebook's cell or a window, or a line in the terminal without a screen.

    Raises:
        ValueError: ``render_mode`` is unknown.
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
        self._drawn_info: dict[str, Any] = {}
        self._executed: list[int] | None = None
        self._plan: CompressionPlan | None = None
        # The action that `execute` is about to take, and the count that it stands for: in some
        # modes not every admissible count can be reached by an action.
        self._demanded: tuple[float, int] | None = None

    @property
    def problem(self) -> Problem:
        """Network and budget of the episode; before the first episode, the only problem.

        Raises:
            gymnasium.error.ResetNeeded: none was drawn yet.
        """
        if self._problem is None:
            self._problem = self.problems.only()
        if self._problem is None:
            raise gym.error.ResetNeeded("no network was drawn yet: call reset() first")
        return self._problem

    @property
    def engine(self) -> Engine:
        """The engine that ranks, re-fits and evaluates."""
        return self.problem.engine

    @property
    def task(self) -> CompressionTask:
        """The task that is compressed."""
        return self.problem.task

    @property
    def budget(self) -> Budget:
        """The budget of the episode: the counts that may be kept."""
        return self.problem.budget

    @property
    def cost(self) -> Cost:
        """The cost in the budget's resource."""
        return self.problem.cost

    @property
    def options(self) -> dict[str, Any]:
        """Options that determine results, with defaults resolved, as plans hold them."""
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
            options: those listed under "Reset" in the environment's docstring; all others are
                keywords of ``gym.make``.

        Raises:
            TypeError: the seed is not a number, the options are not a mapping, or one has a wrong
                type.
            ValueError: the seed is below 0, or an option is unknown, out of range or infeasible.
        """
        if seed is not None:
            seed = whole("seed", seed, at_least=0, otherwise=" or None")
        found = reset_options(options, self.arguments, known=self.problems.options)
        super().reset(seed=seed)
        self._problem, self._drawn_info = self.problems.draw(found, self)
        self._executed = []
        self._plan = None
        self._view()
        return self._problem.observation.observe(()), dict(self._drawn_info)

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

    def evaluate_ahead(self, plans: Sequence[tuple[int, ...]]) -> int:
        """Evaluate the first of some plans together, as many as pay off; see ``evaluated_ahead``.

        Returns:
            The number of evaluated plans: 0 if there is only one, which is left to its episode.
        """
        first = plans[: self.engine.evaluator.at_once]
        if len(first) > 1:
            self.engine.evaluate(first)
        return len(first)

    def execute(
        self, counts: Sequence[int], through: gym.Env[Any, Any] | None = None
    ) -> tuple[float, dict[str, Any]]:
        """Play the episode that ends in a given plan, and return its reward and last info.

        Network and budget are those of the previous episode.

        Args:
            counts: channels or weights that each unit keeps; admissible and within the budget.
            through: this environment with its wrappers, so that every wrapper sees the steps and
                may change the reward; ``None``: this environment itself.

        Raises:
            ValueError: the plan is not admissible or exceeds the budget, ``through`` is another
                environment, or a wrapper changes actions.
        """
        env = self if through is None else through
        if env.unwrapped is not self:
            raise ValueError("through must be this environment with its wrappers, not another one")
        self.budget.check(counts)
        options = self.problems.redraw_options(self._drawn_info)
        again: dict[str, Any] = {"options": options} if options else {}
        env.reset(**again)
        reward: Any = 0.0
        info: dict[str, Any] = {}
        for t, count in enumerate(counts):
            # float64, because float32 cannot represent the ratios of millions of weights exactly.
            action = np.array([self.problem.mode.action(counts[:t], count)])
            try:
                self._demanded = sparsity(action), count
                _, reward, _, _, info = env.step(action)
            finally:
                self._demanded = None
            kept = info["channels"] if "channels" in info else info["weights"]
            if kept != count:
                raise ValueError(
                    f"unit {info['layer']!r} kept {kept} instead of {count}, because a wrapper "
                    "changes actions: execute plans without that wrapper"
                )
        return float(reward), info

    def share(self, other: CompressionEnv) -> None:
        """Share the problems of an equal environment instead of keeping equal ones."""
        self.problems, self._problem = other.problems, other._problem

    @property
    def counts(self) -> tuple[int, ...]:
        """Counts of the units that are decided so far."""
        return tuple(self._executed or ())

    @property
    def fresh(self) -> bool:
        """Whether no episode has been started yet."""
        return self._executed is None

    def running(self) -> list[int]:
        """Return the list of the running episode's counts, to which each step appends.

        Raises:
            gymnasium.error.ResetNeeded: the episode is over or was never started.
        """
        if self._executed is None or len(self._executed) == len(self.problem):
            raise gym.error.ResetNeeded("the episode is over: call reset() before step()")
        return self._executed

    def finish(self, found: Scored) -> tuple[float, dict[str, Any]]:
        """Return reward and info of the last step, given its plan's score in ``found``."""
        assert self._executed is not None
        reward, info, self._plan = self.problem.finish(self._executed, found)
        return reward, info | self._drawn_info

    def render(self) -> Any:
        """Return the episode so far: a table as text, or a picture, (400, 600, 3) uint8.

        With ``render_mode="human"`` it is shown, as after each step, and nothing is returned.

        Raises:
            gymnasium.error.ResetNeeded: no episode was started yet.
        """
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: pass render_mode='ansi' to gym.make")
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
        """Show the episode so far in the viewer."""
        if self.render_mode != "human":
            return
        if self._viewer is None:
            title = "AMC-Gym" if self.spec is None else self.spec.id
            self._viewer = Paced(viewer_of(title), self.metadata["render_fps"])
        self._viewer.show(self._frame())

    def _frame(self) -> Frame:
        """Return the frame that shows the episode so far.

        Raises:
            gymnasium.error.ResetNeeded: no episode was started yet.
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
