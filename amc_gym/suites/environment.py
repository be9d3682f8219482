"""SuiteEnv, in which each episode compresses a network of a suite, and what ``gym.make`` calls."""

from __future__ import annotations

from inspect import Parameter
from pathlib import Path
from typing import Any

from amc_gym._utils.arguments import described
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.options import options_of, signature, split, table
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.compression_env import RENDER_MODES, CompressionEnv
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.suites.problems import SuiteProblems
from amc_gym.suites.suite import Suite, SuiteLike, suite_of
from amc_gym.zoo.resolving import TaskOptions

CLASSES = (TaskOptions, EngineOptions, EnvOptions)

SET_BY_CONTEXTS = (
    *("dataset", "weights", "granularity", "resource", "preserve_ratio"),
    *("runtime", "latency_table"),  # times are of one machine, contexts of all
)
"""Options of single-network environments that suites do not have."""

DEFAULTS = {"reward": "relative", "action_mode": "residual", "observation": "comparable"}
"""Defaults that differ from a single network's: a policy needs one scale on all networks."""

FIRST = "digits-v1"
"""The suite of "AMC-Suite-v0" if no suite is given."""

ARGUMENTS = (
    *("suite", "only"),
    *(
        option.name
        for cls in CLASSES
        for option in options_of(cls)
        if option.name not in SET_BY_CONTEXTS
    ),
)


class SuiteEnv(CompressionEnv):
    """Compress another network in each episode: one policy for many networks and budgets.

    ## Description

    A *context* is a network with its data, a budget, the resource that the budget limits, and what
    is pruned; a *suite* is a set of contexts.  Each `reset` draws one from `np_random`, all with
    the same probability.  The episode is then that of `AMCEnv`, whose page explains actions, units
    and plans.  Episodes of different networks differ in length.

    ## Action space

    `Box(0, 1, (1,), float32)`.  By default `action_mode="residual"`: answering 0.5 in every step
    gives the plan of least reconstruction error, which is known before any evaluation; 0 keeps e
    times as much of a unit and 1 keeps 1 / e times as much, within the budget.

    ## Observation space

    By default `observation="comparable"`: a `Box` with the same shape for all networks, in absolute
    scales and with the budget included.  `"graph"` shows all units at once.  docs/suites.md lists
    what each number means.

    ## Rewards

    By default `reward="relative"`: 0 for the uniform plan within the budget, 1 for the full
    network, on the context's reward images.

    ## Starting state and episode end

    An episode starts with an uncompressed network of the suite.  It is `terminated` after the last
    unit and never `truncated`.

    ## Reset

    | option           | meaning                                                                  |
    |------------------|--------------------------------------------------------------------------|
    | `context`        | name of a context; also of a network at a budget that no context has     |
    | `network`        | name of a network, one of whose contexts is drawn                        |
    | `preserve_ratio` | budget of the episode, which replaces that of the context                |

    For example `reset(options={"network": "MobileNet", "preserve_ratio": 0.3})`.

    ## Info

    The info is that of `AMCEnv`; `reset` and the last step add `context`, its name, and
    `preserve_ratio`.  The options of a plan hold both.  `env.unwrapped.task`, `.engine` and
    `.budget` are those of the episode; before the first `reset` there are none, unless `only` names
    the context.

    ## Arguments

    {arguments}

    `suite` is a bundled suite's name, the path of a TOML file, `"package.module:attribute"`, or a
    `Suite` of your own contexts and tasks; only the strings survive `spec.to_json()` and other
    processes.

    An engine is made when its network is first drawn, which takes a second for a small network and
    more for larger ones, and is kept within a memory limit (`amc_gym.suites.engines`).

    Raises:
        TypeError: an argument has a wrong type; the message names it.
        ValueError: an argument is unknown or out of range; the message names the fix.
        OSError: a suite's file, weights or data are missing or damaged.

    ## Version history

    * v0: first version.
    """

    def __init__(
        self,
        suite: Suite,
        judged: EngineOptions = EngineOptions(),  # noqa: B008  # frozen
        given: EnvOptions = EnvOptions(**DEFAULTS),  # noqa: B008  # pyright: ignore[reportArgumentType]
        *,
        data_root: str | Path | None = None,
        render_mode: str | None = None,
    ) -> None:
        if not isinstance(suite, Suite):
            raise TypeError(
                f"SuiteEnv takes a Suite, not {described(suite)}: for a name or a file, "
                'gym.make("AMC-Suite-v0", suite=...) makes the environment'
            )
        problems = SuiteProblems(suite, judged, given, data_root=data_root)
        super().__init__(problems, given, ARGUMENTS, render_mode=render_mode)
        self.suite = suite


_SIGNATURE = signature(
    Parameter("suite", Parameter.POSITIONAL_OR_KEYWORD, default=FIRST, annotation="SuiteLike"),
    Parameter("only", Parameter.KEYWORD_ONLY, default=None, annotation="str | None"),
    Parameter("render_mode", Parameter.KEYWORD_ONLY, default=None, annotation="str | None"),
    classes=CLASSES,
    without=SET_BY_CONTEXTS,
    defaults=DEFAULTS,
)


@recorded
def make_suite_env(
    suite: SuiteLike = FIRST,
    *,
    only: str | None = None,
    render_mode: str | None = None,
    **options: Any,
) -> SuiteEnv:
    """Return the environment of a suite; the page of ``SuiteEnv`` lists the keywords.

    Raises:
        TypeError: a keyword is unknown, or an option has a wrong type.
        ValueError: an option is unknown or out of range; the message names the fix.
        OSError: a suite's file cannot be read.
    """
    _SIGNATURE.bind(suite, **options)  # an unknown keyword raises Python's own TypeError
    chosen, judged, given = split(DEFAULTS | options, *CLASSES)
    found = suite_of(suite) if only is None else suite_of(suite).one(only)
    return SuiteEnv(found, judged, given, data_root=chosen.data_root, render_mode=render_mode)


def make_suite_vector_env(num_envs: int, suite: SuiteLike = FIRST, **options: Any) -> AMCVectorEnv:
    """Return environments of a suite that step together, each with a context of its own.

    Raises:
        TypeError, ValueError, OSError: as ``make_suite_env``.
        ValueError: there are too few or too many environments.
    """
    return AMCVectorEnv(lambda: make_suite_env(suite, **options), num_envs)


make_suite_env.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
make_suite_env.metadata = SuiteEnv.metadata  # type: ignore[attr-defined]  # Gymnasium asks for it

_OTHERS = (
    ("suite", f'"{FIRST}"', "the contexts, see below"),
    ("only", "None", "name of the context of all episodes; None: each draws its own"),
    ("render_mode", "None", "None, " + " or ".join(f'"{mode}"' for mode in RENDER_MODES)),
)
SuiteEnv.__doc__ = (SuiteEnv.__doc__ or "").replace(
    "{arguments}",
    table(*CLASSES, others=_OTHERS, indent="    ", without=SET_BY_CONTEXTS, defaults=DEFAULTS),
)
