"""AMCEnv: one episode compresses one network, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amc_gym._utils.arguments import described
from amc_gym._utils.names import choose
from amc_gym._utils.options import markdown, options_of, table
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.actions import ACTION_MODES
from amc_gym.envs.compression_env import RENDER_MODES, CompressionEnv
from amc_gym.envs.observations import OBSERVATIONS
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.problem import OneNetwork, Problem
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo.resolving import TaskOptions

ARGUMENTS = tuple(
    option.name for cls in (TaskOptions, EngineOptions, EnvOptions) for option in options_of(cls)
)
"""Names of the keywords of ``gym.make``."""


class AMCEnv(CompressionEnv):
    """Compress a pretrained network layer by layer, after He et al., "AMC" (ECCV 2018).

    ## Description

    A pretrained network is pruned one *unit* after the other, in execution order.  A unit is a
    group of channels that can only be pruned together: the output of one layer, the input of the
    next, and every batch norm and depthwise convolution between them.  At each step the agent
    sees an embedding of the unit and answers with its sparsity ratio.  The most important channels
    are kept, and the weights that read them are re-fitted by least squares.  After the last unit
    the compressed network is evaluated on the reward images, without fine-tuning.

    ## Action space

    `Box(0, 1, (1,), float32)`: the sparsity ratio; 0 keeps everything.  Actions out of range are
    clipped.  The ratio is executed as a channel count within the budget (Algorithm 1 of the paper,
    in exact integer arithmetic, see `amc_gym.envs.budget`):

    {action_modes}

    ## Observation space

    Every number is in [0, 1], float32.

    {observations}

    `"paper"` is `Box(0, 1, (11,), float32)`, the paper's equation 1:

    | index | feature | index | feature                                                         |
    |-------|---------|-------|-----------------------------------------------------------------|
    | 0     | t / T   | 6     | kernel size                                                     |
    | 1     | n       | 7     | FLOPs[t], the cost of all layers that touch the unit            |
    | 2     | c       | 8     | reduced: share of the full cost saved so far                    |
    | 3, 4  | h, w    | 9     | rest: share of the full cost in the layers still to come        |
    | 5     | stride  | 10    | a_{t-1}: sparsity that was executed for the previous unit       |

    n, h, w, stride and kernel are those of the unit's first consumer, c is the unit's channel
    count.  Features 1-7 are scaled from their range over the units to [0, 1].  The observation
    after the last step has t / T = 1, which no unit has.

    ## Rewards

    The reward is 0 until the last step, and is then chosen by `reward`: `"accuracy"` or `"score"`,
    in [0, 1]; `"error"`, which is -error with the error 1 - score; `"error-log-macs"` and
    `"error-log-params"`, which are -error ln(size), for `preserve_ratio=None`; or
    `"error-log-latency"`, the same with nanoseconds.  `"relative"` is the share of the uniform
    plan's loss that this plan recovers: 0 is the uniform plan within the budget and 1 the full
    network, for any network and budget.  A function can be a reward, too; it receives a `Measured`
    with `score`, `macs`, `params` and more.

    ## Starting state and episode end

    Every episode starts with the uncompressed network.  It is `terminated` after the last unit and
    never `truncated`.  The environment has no randomness: equal actions give equal results.

    ## Reset

    `reset(options={"preserve_ratio": 0.3})` gives this one episode another budget, in (0, 1], or
    none with `None`; the next `reset` without options returns to the environment's own.  The `info`
    of such a `reset` and of its episode's last step states the budget, and so does the plan.

    ## Info

    Each step: `layer` (the unit's name), `sparsity` (executed), `channels` (kept; `weights` in
    weight pruning).  The last step adds `score`, `macs`, `params`, `macs_ratio`, `params_ratio` and
    `plan`, the JSON of a `CompressionPlan`; `env.unwrapped.plan` is the same as an object.
    `accuracy` is the `score` of a classifier.  If latency is measured, the last step also has
    `latency_ns` and `latency_ratio`; with a resource of your own, `cost` and `cost_ratio`.

    ## Arguments

    {arguments}

    `task` is a network's name, `"package.module:function"`, a function without arguments, or a
    `CompressionTask`; only the strings can be passed through `spec.to_json()` and to other
    processes.  The task has its own defaults for `preserve_ratio="default"` and
    `channel_multiple=None`; if latency is the resource, the latter becomes a multiple of the
    channels that the device computes at once.  `dataset`, `data_root` and `weights` are for
    networks given by name; see docs/data.md.  `max_sparsity` by kind is looked up for each unit's
    first consumer; `None` is the paper's: 0.8, and 0.98 for linear layers in weight pruning.

    `importance` is `"magnitude"` (paper), `"bn-scale"`, `"taylor"`, `"greedy"` (by reconstruction
    error), or a function from a `UnitView` to a permutation of the unit's channels.  `recovery` is
    `"none"`, or steps joined by `+` in this order: `reconstruct` (least squares, remembered for
    every count), `sequential` (least squares on the actual outputs of the pruned layers),
    `nonlinear` (the same with offsets, which also compensates errors of shortcuts and fits what
    each ReLU lets through), `bn` (re-estimated statistics, on n images with `bn:n`), and
    `finetune:STEPS`.  All but the first cost one or more passes over the calibration images in
    every episode.  A step may also be a function that receives a small network and the
    `Calibration` of the original, alone or in a list: `["reconstruct", mine]`.

    With `granularity="weight"` each convolution and linear layer is a step, including the first and
    the last.  Weights of least magnitude become zero, `resource="params"` counts the non-zero ones,
    and `recovery` must be `"none"`, `"bn"` or `"finetune:STEPS"`.

    `evaluation` chooses the networks on which plans are evaluated.  `"slim"` networks are small,
    with new shapes for every plan.  The `"resident"` network has full width and stays on the
    device, and none of its layers reads a pruned channel: it computes more, but saves the
    preparation of new shapes, which takes longer on GPUs.  Both compute the same up to rounding.
    `"auto"` takes `"resident"` on CUDA devices and `"slim"` elsewhere, and also where `"resident"`
    is not possible: for recoveries that run each plan's network, in weight pruning, and for pruned
    channels in layer norms or attention.

    A `resource` may be a function that returns a whole number for a `LayerSize`, such as a layer's
    energy; the cost of a network is the sum over its layers.

    Latency is the time of one image in `runtime` on one thread, by a table of the layers' times
    (see docs/latency.md).  The first environment of a network measures the table, which takes
    minutes, and caches it; `latency_table` names another one, for example of a phone.

    Numbers may also be NumPy numbers, fractions, or tensors without dimensions.

    Raises:
        TypeError: an argument has a wrong type; the message names it.
        ValueError: an argument is unknown, out of range or infeasible; the message names the fix.
        OSError: weights or data are missing or damaged.

    ## Version history

    * v0: first version.
    """

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
                f"AMCEnv takes an Engine, not {described(engine)}: for a name or a task, "
                'gym.make("AMC-v0", task=...) makes both'
            )
        if render_mode is not None:
            render_mode = choose("render_mode", render_mode, RENDER_MODES)
        first = Problem(engine, options, latency=latency, task=task)
        super().__init__(OneNetwork(first), options, ARGUMENTS, render_mode=render_mode)
        self.latency = latency


def _arguments() -> str:
    """Return the table of keywords for the docstring above."""
    others = (
        ("task", "per id", "what is compressed, see below"),
        ("render_mode", "None", "None, " + " or ".join(f'"{mode}"' for mode in RENDER_MODES)),
    )
    return table(TaskOptions, EngineOptions, EnvOptions, others=others, indent="    ")


def _listed(option: str, meaning: str, strategies: Mapping[str, Any]) -> str:
    """Return a table of an option's values and their summaries."""
    rows = [(f"`{option}`", meaning)]
    rows += [(f'`"{name}"`', each.summary) for name, each in strategies.items()]
    return markdown(rows, indent="    ")


AMCEnv.__doc__ = (
    (AMCEnv.__doc__ or "")
    .replace("{arguments}", _arguments())
    .replace("{action_modes}", _listed("action_mode", "executed count", ACTION_MODES))
    .replace("{observations}", _listed("observation", "what is seen", OBSERVATIONS))
)
