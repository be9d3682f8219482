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
"""Names of what an environment is made with, by ``gym.make``."""


class AMCEnv(CompressionEnv):
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

    Every number is in [0, 1], float32.

    {observations}

    `"paper"` is `Box(0, 1, (11,), float32)`, the paper's equation 1:

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
    1 - score.  `"relative"` is the share of what the uniform plan within the budget loses that this
    plan wins back: 0 is the uniform plan, 1 the full network, whatever the network and budget.  A
    function of what was measured, a `Measured` with `score`, `macs`, `params` and more, is a
    reward, too.

    ## Starting state and episode end

    Every episode starts with the uncompressed network.  `terminated` after the last unit; never
    `truncated`.  The environment has no randomness: equal actions give equal results.

    ## Reset

    `reset(options={"preserve_ratio": 0.3})` gives that one episode another budget, in (0, 1], or
    none by `None`; the next `reset` without options goes back to the environment's own.  `info`
    of such a `reset` and of its episode's last step tell it, and so does the plan.

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
    `bn` (statistics estimated anew, with `bn:IMAGES` on so many), `finetune:STEPS`.  All but the
    first cost a pass or more over the calibration images in every episode.  A step may be a
    function that is given a small network and what is known of the original (`Calibration`), alone
    or in a list: `["reconstruct", mine]`.

    With `granularity="weight"` each convolution and linear layer is a step, first and last
    included; weights of least magnitude become zero, `resource="params"` counts those that are
    not, and `recovery` must be `"none"`, `"bn"` or `"finetune:STEPS"`.

    `evaluation` says on what networks plans are judged. `"slim"` ones are small, and have new
    shapes with every plan. `"resident"` is one of full width that stays on the device, in which no
    layer reads a pruned channel: more to compute, but nothing to prepare anew, which takes longer
    on GPUs. Both compute the same up to rounding. `"auto"` takes `"resident"` on CUDA devices and
    `"slim"` elsewhere, and `"slim"` where the other is refused: for recoveries that run each plan's
    network, for single weights, for pruned channels under layer norms or in attention.

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
        first = Problem(engine, options, latency=latency, task=task)
        super().__init__(OneNetwork(first), options, ARGUMENTS, render_mode=render_mode)
        self.latency = latency


def _arguments() -> str:
    """Return the table of keywords in the page above: those of the ids."""
    others = (
        ("task", "per id", "what is compressed, see below"),
        ("render_mode", "None", "None, " + " or ".join(f'"{mode}"' for mode in RENDER_MODES)),
    )
    return table(TaskOptions, EngineOptions, EnvOptions, others=others, indent="    ")


def _listed(option: str, meaning: str, strategies: Mapping[str, Any]) -> str:
    """Return a table of the names of an option and their summaries."""
    rows = [(f"`{option}`", meaning)]
    rows += [(f'`"{name}"`', each.summary) for name, each in strategies.items()]
    return markdown(rows, indent="    ")


AMCEnv.__doc__ = (
    (AMCEnv.__doc__ or "")
    .replace("{arguments}", _arguments())
    .replace("{action_modes}", _listed("action_mode", "executed count", ACTION_MODES))
    .replace("{observations}", _listed("observation", "what is seen", OBSERVATIONS))
)
