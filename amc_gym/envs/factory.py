"""Factories of environments: what ``gym.make`` and ``gym.make_vec`` call.

Task, engine and latency come from the process's cache, so that building an environment again is
cheap.
"""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.options import signature, split
from amc_gym._utils.orphans import end_with_parent
from amc_gym.engine.cache import engines
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.options import EnvOptions
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.zoo.resolving import TaskLike, TaskOptions, resolve

OPTIONS = (TaskOptions, EngineOptions, EnvOptions)
"""Classes whose fields are the keywords of every id."""

_SIGNATURE = signature(
    Parameter("task", Parameter.POSITIONAL_OR_KEYWORD, annotation="TaskLike"),
    Parameter("render_mode", Parameter.KEYWORD_ONLY, default=None, annotation="str | None"),
    classes=OPTIONS,
)


@recorded
def make_env(task: TaskLike, *, render_mode: str | None = None, **options: Any) -> AMCEnv:
    """Return an environment of a task; every keyword is a field of one of ``OPTIONS``.

    Raises:
        TypeError: a keyword is unknown, or an option has a wrong type.
        ValueError: an option is unknown, out of range or infeasible; the message names the fix.
        OSError: weights or data are missing or damaged.
    """
    _SIGNATURE.bind(task, **options)  # an unknown keyword raises Python's own TypeError
    chosen, judged, given = split(options, *OPTIONS)
    if given.timed and not judged.pruning.runs_faster:
        raise ValueError(
            "zero weights make no runtime faster, so that resource='latency' needs "
            "granularity='channel'"
        )
    end_with_parent(daemons_only=True)  # what follows may take minutes
    resolved = resolve(
        task, dataset=chosen.dataset, data_root=chosen.data_root, weights=chosen.weights
    )
    latency = None
    engine = engines.engine(resolved, judged)
    if given.timed:
        latency = engines.latency(resolved, given.runtime, given.latency_table, judged.device)
    return AMCEnv(engine, given, latency=latency, task=resolved, render_mode=render_mode)


def make_vector_env(num_envs: int, task: TaskLike, **options: Any) -> AMCVectorEnv:
    """Return environments of a task that step together; keywords as in ``make_env``.

    Raises:
        TypeError, ValueError, OSError: as ``make_env``.
        ValueError: there are too few or too many environments.
    """
    return AMCVectorEnv(lambda: make_env(task, **options), num_envs)


make_env.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
make_env.metadata = AMCEnv.metadata  # type: ignore[attr-defined]  # Gymnasium asks for it
