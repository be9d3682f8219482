"""AMCEnv: one episode compresses one network, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from amc_gym._utils.arguments import described, whole
from amc_gym._utils.names import choose
from amc_gym._utils.options import markdown, options_of, table
from amc_gym._utils.own_code import qualified
from amc_gym.compression.cost import Cost
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.actions import ACTION_MODES
from amc_gym.envs.budget import Budget
from amc_gym.envs.finished import finished_plan, terminal_info, told_costs
from amc_gym.envs.observations import SIZE, Embedding
from amc_gym.envs.options import DEFAULT, LATENCY, EnvOptions
from amc_gym.envs.plain_spec import PlainSpec
from amc_gym.envs.rendering import Frame, ansi, rgb_array
from amc_gym.envs.resetting import reset_options
from amc_gym.envs.sparsity import per_unit, sparsity
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo.resolving import TaskOptions

RENDER_MODES = ("ansi", "rgb_array")

ARGUMENTS = tuple(
    option.name for cls in (TaskOptions, EngineOptions, EnvOptions) for option in options_of(cls)
)
"""Names of what an environment is made with, by ``gym.make``."""


class AMCEnv(PlainSpec, gym.Env[np.ndarray, np.ndarray]):  # pyright: ignore[reportIncompatibleVariableOverride]
    """Compress a pretrained network layer by layer, after He et al., "AMC" (ECCV 2018).

    ## Description

    A pretrained network is pruned one *unit* after the other, in execution order.  A unit is a
    group of channels that can only be pruned together: the output of one layer, the input of the
    next, and every batch norm and depthwise convolution between them.  At each step the agent
    sees an embedding of the unit and answers with its sparsity ratio.  The best-ranked channels
    stay, and the weights that read them are re-fitted by least squares.  After the last unit the
    compressed network is evaluated, without fine-tuning, on the reward images.

    ## Action space

    `Box(0, 1, (1,), float32)`: the sparsity ratio; 0 keeps everything.  Actions out of range are
    clipped.  What is really executed is a channel count within the budget (Algorithm 1 of the
    paper, in exact integer arithmetic, see `amc_gym.envs.budget`):

    {action_modes}

    ## Observation space

    `Box(0, 1, (11,), float32)`, the paper's equation 1:

    | index | feature | index | feature                                                         |
    |-------|---------|-------|-----------------------------------------------------------------|
    | 0     | t / T   | 6     | kernel size                                                     |
    | 1     | n       | 7     | FLOPs[t], the cost of all layers that touch the unit            |
    | 2     | c       | 8     | reduced: share of the full cost saved so far                    |
    | 3, 4  | h, w    | 9     | rest: share of the full cost in the layers still to come        |
    | 5     | stride  | 10    | a_{t-1}: sparsity that was executed for the unit before         |

    n, h, w, stride and kernel are those of the unit's first consumer, c is the unit's channel
    count; features 1-7 are scaled from their range over the units to [0, 1].  The observation
    after the last step has t / T = 1, equal to no unit's.

    ## Rewards

    0 until the last step, then as `reward` says: `"accuracy"` or `"score"`, in [0, 1], `"error"`
    (-error), `"error-log-macs"` and `"error-log-params"` (-error ln(size), for
    `preserve_ratio=None`), `"error-log-latency"` (the same of nanoseconds); the error is
    1 - score.  A function of what was measured, a `Measured` with `score`, `macs`, `params` and
    more, is a reward, too.

    ## Starting state and episode end

    Every episode starts with the uncompressed network.  `terminated` after the last unit; never
    `truncated`.  The environment has no randomness: equal actions give equal results.

    ## Info

    Each step: `layer` (the unit's name), `sparsity` (executed), `channels` (kept; `weights` in
    weight pruning).  The last one
    adds `score`, `macs`, `params`, `macs_ratio`, `params_ratio` and `plan`, the JSON of a
    `CompressionPlan`; `env.unwrapped.plan` is the same as an object.  `accuracy` is the `score` of
    a network that classifies.  Where latency is measured it adds `latency_ns` and
    `latency_ratio`, where a resource of your own is counted `cost` and `cost_ratio`.

    ## Arguments

    {arguments}

    `task` is a network's name, `"package.module:function"`, a function without arguments, or a
    `CompressionTask`; only the strings survive `spec.to_json()` and other processes.  The task
    has defaults of its own for `preserve_ratio="default"` and `channel_multiple=None`; where
    latency counts, the latter becomes a multiple of the channels that the device computes at once.
    `dataset`, `data_root` and `weights` belong to networks that are named; see docs/data.md.
    `max_sparsity` by kind goes by each unit's first consumer; `None` is the paper's: 0.8, in weight
    pruning 0.98 for linear layers.

    `importance` is `"magnitude"` (paper), `"bn-scale"`, `"taylor"`, `"greedy"` (by reconstruction
    error), or a function from a `UnitView` to a permutation of the unit's channels.  `recovery` is
    `"none"` or steps joined by `+`, in this order: `reconstruct` (least squares, remembered for
    every count), `sequential` (least squares on what the pruned layers really produce), `nonlinear`
    (the same with offsets, making up for errors of shortcuts, towards what each ReLU lets through),
    `bn` (statistics estimated anew), `finetune:STEPS`.  All but the first cost a pass or more over
    the calibration images in every episode.  A step may be a function that is given a small network
    and what is known of the original (`Calibration`), alone or in a list: `["reconstruct", mine]`.

    With `granularity="weight"` each convolution and linear layer is a step, first and last
    included; weights of least magnitude become zero, `resource="params"` counts those that are
    not, and `recovery` must be `"none"`, `"bn"` or `"finetune:STEPS"`.

    A `resource` may be a function of a `LayerSize` that returns a whole number, such as a layer's
    energy; a network needs the sum over its layers.

    Latency is that of one image in `runtime` on one thread, by a table of the layers' times (see
    docs/latency.md).  The first environment of a network measures it, which takes minutes, and
    keeps it in the cache; `latency_table` names another one, of a phone for instance.

    Numbers may be NumPy's, fractions, or tensors without dimensions; they become Python's own.

    Raises:
        TypeError: an argument is of a wrong type; the message names it.
        ValueError: an argument is unknown, out of range or infeasible; the message names the fix.
        OSError: weights or data are missing or damaged.

    ## Version history

    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        engine: Engine,
        options: EnvOptions = EnvOptions(),  # noqa: B008  # frozen
        *,
        latency: LatencyCost | None = None,
        task: CompressionTask | None = None,
        render_mode: str | None = None,
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(
                f"AMCEnv is made of an Engine, not of {described(engine)}: from a name or "
                'a task, gym.make("AMC-v0", task=...) makes both'
            )
        if render_mode is not None:
            render_mode = choose("render_mode", render_mode, RENDER_MODES)
        if options.timed and latency is None:
            raise ValueError("where latency counts, it must be given: latency=engines.latency(...)")
        self.engine, self.latency, self.render_mode = engine, latency, render_mode
        self.task = engine.task if task is None else task
        if self.task != engine.task:
            raise ValueError("task must be the engine's, or one of the same objects")
        self.observation_space = spaces.Box(0.0, 1.0, (SIZE,), np.float32)
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self._units = engine.graph.units
        self.cost: Cost = (
            latency
            if latency and options.resource_name == LATENCY
            else engine.cost(options.resource)
        )
        self._costs = told_costs(engine, self.cost, latency)
        self.embedding = Embedding(engine.graph, self.cost)
        self.action_mode = options.action_mode
        self._mode = ACTION_MODES[options.action_mode]
        self._reward = options.rewarding
        self.given = options
        self.options = self._resolved()
        self.budget = self._budget()
        self._executed: list[int] | None = None
        self._plan: CompressionPlan | None = None

    def _resolved(self) -> dict[str, Any]:
        """Options that decide results, defaults resolved; plans are told apart by them."""
        given, judged, ratio = self.given, self.engine.options, self.given.preserve_ratio
        ratios, importance = given.max_sparsity, judged.importance
        if ratios is None:
            ratios = self.engine.pruning.max_sparsity
        multiple = given.channel_multiple
        if multiple is None:
            # Counts between two steps of a device take as long as the upper one, and know less.
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
            "precision": judged.precision,
        }
        if self.latency is not None:
            table = self.latency.table
            resolved["latency"] = {"device": str(table.device), "table": table.fingerprint}
        return resolved

    def _reward_name(self) -> str:
        """The reward as the task calls it: "accuracy" is the score where classes are told apart."""
        name = self.given.rewarding.name
        return "score" if name == "accuracy" and not self.engine.objective.classifies else name

    def _budget(self) -> Budget:
        """The admissible counts under the resolved options."""
        graph, options = self.engine.graph, self.options
        kinds = [graph.layers[unit.consumers[0]].kind for unit in self._units]
        return Budget(
            self.cost.total,
            graph.full,
            preserve_ratio=options["preserve_ratio"],
            max_sparsity=per_unit(options["max_sparsity"], kinds),
            steps=[lcm(options["channel_multiple"], unit.blocks) for unit in self._units],
        )

    @property
    def steps_per_episode(self) -> int:
        """T, the number of units: every episode has as many steps."""
        return len(self._units)

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
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start with the uncompressed network.

        Args:
            seed: of ``np_random``, which nothing here draws from; at least 0.
            options: None or empty; everything is said when the environment is made.

        Raises:
            TypeError: the seed is no number, or the options are no mapping.
            ValueError: the seed is below 0, or there is an option.
        """
        if seed is not None:
            seed = whole("seed", seed, at_least=0, otherwise=" or None")
        reset_options(options, ARGUMENTS)
        super().reset(seed=seed)
        self._executed = []
        self._plan = None
        return self.embedding.observe(()), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Decide the sparsity of the next unit.

        Raises:
            ValueError: the action has another shape than (1,) or is NaN.
            gymnasium.error.ResetNeeded: the episode is over or was never started.
        """
        executed = self.running()
        executed.append(self._mode.decide(self.budget, executed, sparsity(action)))
        terminated = len(executed) == len(self._units)
        if terminated:
            reward, info = self.finish(self.engine.evaluator(executed))
        else:
            reward, info = 0.0, self.decided()
        return self.embedding.observe(executed), reward, terminated, False, info

    def execute(
        self, counts: Sequence[int], through: gym.Env[Any, Any] | None = None
    ) -> tuple[float, dict[str, Any]]:
        """Play the one episode that ends in a plan: its reward, and the last step's info.

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
        env.reset()
        reward: Any = 0.0
        info: dict[str, Any] = {}
        for t, count in enumerate(counts):
            # float64: in float32 a layer of millions of weights has no exact ratios.
            action = np.array([self._mode.action(self.budget, counts[:t], count)])
            _, reward, _, _, info = env.step(action)
            kept = info["channels"] if "channels" in info else info["weights"]
            if kept != count:
                raise ValueError(
                    f"unit {info['layer']!r} kept {kept} instead of {count}: a plan is executed "
                    "in an environment with unchanged actions, so take the wrapper off"
                )
        return float(reward), info

    @property
    def fresh(self) -> bool:
        """Whether no episode was ever started."""
        return self._executed is None

    def running(self) -> list[int]:
        """Counts of the units that the running episode has decided; a step appends one.

        Raises:
            gymnasium.error.ResetNeeded: the episode is over or was never started.
        """
        if self._executed is None or len(self._executed) == len(self._units):
            raise gym.error.ResetNeeded("the episode is over: call reset() before step()")
        return self._executed

    def decided(self) -> dict[str, Any]:
        """Info about the unit that was decided last."""
        assert self._executed
        unit, kept = self._units[len(self._executed) - 1], self._executed[-1]
        return {
            "layer": unit.name,
            "sparsity": 1 - kept / unit.channels,
            "channels" if unit.inputs is None else "weights": kept,
        }

    def finish(self, found: Scored) -> tuple[float, dict[str, Any]]:
        """Reward and info of the last step, of whose plan the evaluator ``found`` the score."""
        assert self._executed is not None
        self._plan = plan = finished_plan(
            self.task, self.engine, self._costs, self.options, tuple(self._executed), found
        )
        info = self.decided() | terminal_info(plan, self._costs)
        return self._reward(plan.measured), info

    def render(self) -> Any:
        """The episode so far: a table as text, or bars as (320, 640, 3) uint8.

        Raises:
            gymnasium.error.ResetNeeded: nothing was started yet.
        """
        if self.render_mode is None:
            gym.logger.warn("render() without render_mode; pass render_mode='ansi' to gym.make")
            return None
        if self._executed is None:
            raise gym.error.ResetNeeded("nothing to render yet: call reset() first")
        executed, full = self._executed, self.engine.graph.full
        frame = Frame(
            names=[unit.name for unit in self._units],
            channels=full,
            executed=tuple(executed),
            resource=self.options["resource"],
            ratio=self.cost.total([*executed, *full[len(executed) :]]) / self.cost.full,
            score=None if self._plan is None else self._plan.measured.score,
            score_name="accuracy" if self.engine.objective.classifies else "score",
        )
        return ansi(frame) if self.render_mode == "ansi" else rgb_array(frame)


def _arguments() -> str:
    """The table of keywords in the page above: those of the ids."""
    others = (
        ("task", "per id", "what is compressed, see below"),
        ("render_mode", "None", "None, " + " or ".join(f'"{mode}"' for mode in RENDER_MODES)),
    )
    return table(TaskOptions, EngineOptions, EnvOptions, others=others, indent="    ")


def _action_modes() -> str:
    rows = [("`action_mode`", "executed count")]
    rows += [(f'`"{mode.name}"`', mode.summary) for mode in ACTION_MODES.values()]
    return markdown(rows, indent="    ")


AMCEnv.__doc__ = (
    (AMCEnv.__doc__ or "")
    .replace("{arguments}", _arguments())
    .replace("{action_modes}", _action_modes())
)
