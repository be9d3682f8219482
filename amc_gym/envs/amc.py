"""AMCEnv: one episode compresses one network, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from amc_gym._utils.arguments import described, path, whole
from amc_gym._utils.names import choose
from amc_gym.compression.cost import RESOURCES, Cost
from amc_gym.compression.evaluation.evaluator import Hits
from amc_gym.compression.latency.runtimes import RUNTIMES
from amc_gym.compression.plan import CompressionPlan
from amc_gym.compression.ranking.importance import Importance
from amc_gym.engine.engine import EngineOptions, engine
from amc_gym.engine.latency import latency_cost
from amc_gym.envs.budget import Budget, share_to_keep
from amc_gym.envs.finished import finished_plan, terminal_info
from amc_gym.envs.observations import SIZE, Embedding
from amc_gym.envs.plain_spec import PlainSpec
from amc_gym.envs.rendering import Frame, ansi, rgb_array
from amc_gym.envs.rewards import NEEDS_LATENCY, REWARDS
from amc_gym.envs.sparsity import largest, per_unit, sparsity
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo.resolving import TaskLike, resolve

ACTION_MODES = ("clamp", "feasible")


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

    | `action_mode` | executed count                                                            |
    |---------------|---------------------------------------------------------------------------|
    | `"clamp"`     | nearest admissible to (1 - a) C, at most the largest the budget leaves    |
    | `"feasible"`  | a from 0 to 1 runs linearly from the largest the budget leaves to the least |

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

    0 until the last step, then as `reward` says: `"accuracy"` in [0, 1], `"error"` (-error),
    `"error-log-macs"` and `"error-log-params"` (-error ln(size), for `preserve_ratio=None`),
    `"error-log-latency"` (the same of nanoseconds).

    ## Starting state and episode end

    Every episode starts with the uncompressed network.  `terminated` after the last unit; never
    `truncated`.  The environment has no randomness: equal actions give equal results.

    ## Info

    Each step: `layer` (the unit's name), `sparsity` (executed), `channels` (kept; `weights` in
    weight pruning).  The last one
    adds `accuracy`, `macs`, `params`, `macs_ratio`, `params_ratio` and `plan`, the JSON of a
    `CompressionPlan`; `env.unwrapped.plan` is the same as an object.  Where latency is measured it
    adds `latency_ns` and `latency_ratio`.

    ## Arguments

    | argument           | default         | meaning                                            |
    |--------------------|-----------------|----------------------------------------------------|
    | `task`             | per id          | what is compressed, see below                      |
    | `dataset`          | `"digits"`      | `"digits"`, `"cifar10"`, `"imagenet"`, `"folder"`  |
    | `data_root`        | `None`          | folder of data that is read from disk              |
    | `weights`          | `"bundled"`     | `"bundled"`, `"torchvision"`, `"random"`, a path   |
    | `resource`         | `"macs"`        | `"macs"`, `"params"` or `"latency"`: the budget's  |
    | `preserve_ratio`   | `"default"`     | share to keep, in (0, 1]; `None`: unconstrained    |
    | `granularity`      | `"channel"`     | `"channel"` or `"weight"`                          |
    | `reward`           | `"accuracy"`    | see above                                          |
    | `metric`           | `"top1"`        | `"top1"` or `"top5"`                               |
    | `action_mode`      | `"clamp"`       | see above                                          |
    | `importance`       | `"magnitude"`   | ranking of channels, see below                     |
    | `recovery`         | `"reconstruct"` | how kept weights make up for pruned ones, see below |
    | `max_sparsity`     | `None`          | a_max: a number or `{"conv": ..., "linear": ...}`  |
    | `channel_multiple` | `None`          | kept counts are multiples of this                  |
    | `reward_images`    | `None`          | use only the first so many                         |
    | `precision`        | `"float32"`     | `"float32"` or `"bf16"`                            |
    | `runtime`          | `"torch"`       | whose latency: `"torch"`, `"compile"`, `"onnx"`    |
    | `latency_table`    | `None`          | a file of times; `None`: measured here, see below  |
    | `device`           | `"auto"`        | `"auto"`, `"cpu"`, `"cuda"`, ...                   |
    | `render_mode`      | `None`          | `"ansi"` (a table) or `"rgb_array"` (bars)         |

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
    the calibration images in every episode.

    With `granularity="weight"` each convolution and linear layer is a step, first and last
    included; weights of least magnitude become zero, `resource="params"` counts those that are
    not, and `recovery` must be `"none"`, `"bn"` or `"finetune:STEPS"`.

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

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        task: TaskLike,
        *,
        dataset: str = "digits",
        data_root: str | Path | None = None,
        weights: str | Path = "bundled",
        resource: str = "macs",
        preserve_ratio: float | str | None = "default",
        granularity: str = "channel",
        reward: str = "accuracy",
        metric: str = "top1",
        action_mode: str = "clamp",
        importance: str | Importance = "magnitude",
        recovery: str = "reconstruct",
        max_sparsity: float | Mapping[str, float] | None = None,
        channel_multiple: int | None = None,
        reward_images: int | None = None,
        precision: str = "float32",
        runtime: str = "torch",
        latency_table: str | Path | None = None,
        device: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        resource = choose("resource", resource, (*RESOURCES, "latency"))
        reward = choose("reward", reward, REWARDS)
        action_mode = choose("action_mode", action_mode, ACTION_MODES)
        runtime = choose("runtime", runtime, RUNTIMES)
        if render_mode is not None:
            render_mode = choose("render_mode", render_mode, self.metadata["render_modes"])
        timed = resource == "latency" or reward in NEEDS_LATENCY
        if latency_table is not None:
            latency_table = path("latency_table", latency_table)
        if not timed and (latency_table is not None or runtime != "torch"):
            raise ValueError(
                "latency_table and runtime say how latency is measured: they go with "
                "resource='latency' or reward='error-log-latency'"
            )
        if isinstance(preserve_ratio, str):
            choose("preserve_ratio", preserve_ratio, ("default",))
        else:
            preserve_ratio = share_to_keep(preserve_ratio)
        if channel_multiple is not None:
            channel_multiple = whole("channel_multiple", channel_multiple, at_least=1)
        largest(max_sparsity)
        options = EngineOptions(
            granularity, importance, recovery, metric, reward_images, precision, device
        )
        granularity, recovery, metric = options.granularity, options.recovery, options.metric
        if timed and granularity == "weight":
            raise ValueError(
                "single weights that are zero make no runtime faster: latency is for "
                "granularity='channel'"
            )
        self.task: CompressionTask = resolve(
            task, dataset=dataset, data_root=data_root, weights=weights
        )
        self.engine = engine(self.task, options)
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (SIZE,), np.float32)
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float32)

        graph = self.engine.graph
        self._units = graph.units
        self.latency = (
            latency_cost(self.task, runtime, latency_table, options.device) if timed else None
        )
        costs = {**self.engine.costs, "latency": self.latency}
        self.cost: Cost = costs[resource]
        self.embedding = Embedding(graph, self.cost)
        self._reward = REWARDS[reward]
        if isinstance(preserve_ratio, str):
            preserve_ratio = self.task.preserve_ratio
        multiple = channel_multiple
        if multiple is None:
            # Counts between two steps of a device take as long as the upper one, and know less.
            block = self.latency.table.block if self.latency else 1
            multiple = lcm(self.task.channel_multiple, block)
        kinds = [graph.layers[unit.consumers[0]].kind for unit in self._units]
        ratios = largest(max_sparsity, granularity)
        self.budget = Budget(
            self.cost.total,
            graph.full,
            preserve_ratio=preserve_ratio,
            max_sparsity=per_unit(ratios, kinds),
            steps=[lcm(multiple, unit.blocks) for unit in self._units],
        )
        self.action_mode = action_mode
        self._decide = getattr(self.budget, action_mode)
        # What decides results, defaults resolved: plans and benchmarks are told apart by it.
        self.options: dict[str, Any] = {
            "resource": resource,
            "preserve_ratio": preserve_ratio,
            "granularity": granularity,
            "reward": reward,
            "action_mode": action_mode,
            "importance": _name_of(options.importance),
            "recovery": recovery,
            "metric": metric,
            "max_sparsity": dict(ratios) if isinstance(ratios, Mapping) else ratios,
            "channel_multiple": multiple,
            "reward_images": self.engine.reward_images,
            "precision": options.precision,
        }
        if self.latency is not None:
            table = self.latency.table
            self.options["latency"] = {"device": str(table.device), "table": table.fingerprint}
        self._executed: list[int] | None = None
        self._plan: CompressionPlan | None = None

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
            options: a mapping or None; none has a meaning here.

        Raises:
            TypeError: the seed is no number, or the options are no mapping.
            ValueError: the seed is below 0.
        """
        if seed is not None:
            seed = whole("seed", seed, at_least=0, otherwise=" or None")
        if options is not None and not isinstance(options, Mapping):
            raise TypeError(f"options must be a mapping or None, not {described(options)}")
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
        executed.append(self._decide(executed, sparsity(action)))
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
            action = np.array([self._action(counts[:t], count)])
            _, reward, _, _, info = env.step(action)
            kept = info["channels"] if "channels" in info else info["weights"]
            if kept != count:
                raise ValueError(
                    f"unit {info['layer']!r} kept {kept} instead of {count}: a plan is executed "
                    "in an environment with unchanged actions, so take the wrapper off"
                )
        return float(reward), info

    def _action(self, executed: Sequence[int], count: int) -> float:
        """The action after which the next unit keeps ``count``, at most its cap."""
        t, budget = len(executed), self.budget
        if self.action_mode == "clamp":
            return 1 - count / budget.channels[t]
        least, cap = budget.admissible[t][0], budget.cap(executed)
        return (cap - count) / (cap - least) if cap > least else 0.0

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

    def finish(self, hits: Hits) -> tuple[float, dict[str, Any]]:
        """Reward and info of the last step, whose plan was evaluated to ``hits``."""
        assert self._executed is not None
        self._plan = plan = finished_plan(
            self.task, self.engine, self.latency, self.options, tuple(self._executed), hits
        )
        info = self.decided() | terminal_info(plan, self.engine, self.latency)
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
            resource=self.cost.resource,
            ratio=self.cost.total([*executed, *full[len(executed) :]]) / self.cost.full,
            accuracy=None if self._plan is None else self._plan.measured.accuracy,
        )
        return ansi(frame) if self.render_mode == "ansi" else rgb_array(frame)


def _name_of(importance: str | Importance) -> str:
    """What plans call a ranking: its name, or where a user's function is."""
    if isinstance(importance, str):
        return importance
    named = importance if hasattr(importance, "__qualname__") else type(importance)
    return f"{named.__module__}:{named.__qualname__}"
