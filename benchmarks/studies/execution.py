"""Carrying out one run: make the environment, let the agent search, judge its best plan."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import gymnasium as gym

import agents
import amc_gym
from amc_gym import CompressionTask
from amc_gym.envs.amc import AMCEnv
from benchmarks.machine import machine, versions
from benchmarks.studies.records import Best, Full, History, Record
from benchmarks.studies.runs import BenchmarkError, Run, Setting

UNNAMED = {"dataset": "digits", "data_root": None, "weights": "bundled"}
"""Options of an environment whose task is an object, at their defaults."""


def import_modules(modules: Iterable[str]) -> None:
    """Import the modules that register agents or environments of the user's own.

    Raises:
        BenchmarkError: one cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise BenchmarkError(f"cannot import {module!r}: {error}") from error


def make_env(env: str, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """The environment of a run.

    Raises:
        BenchmarkError: the id or an option is unknown or does not fit.
    """
    try:
        # The passive checker would be timed as a part of every step.
        made = gym.make(env, disable_env_checker=True, **kwargs)
    except (gym.error.Error, ValueError, TypeError, OSError, ImportError) as error:
        raise BenchmarkError(f"cannot make {env}: {error}") from error
    if not isinstance(made.unwrapped, AMCEnv):
        raise BenchmarkError(f"{env} is no compression environment; try AMC-MobileNet-v0")
    return made


def setting_of(env: str, kwargs: Mapping[str, Any], episodes: int) -> Setting:
    """The setting of runs on an environment, its options resolved.

    Raises:
        BenchmarkError: the environment cannot be made, or ``episodes`` is below 1.
    """
    if episodes < 1:
        raise BenchmarkError(f"--episodes must be at least 1, not {episodes}")
    made = make_env(env, kwargs)
    inner = _inner(made)
    return Setting(
        env=env,
        task=inner.task.fingerprint,
        options=inner.options,
        episodes=episodes,
        kwargs=dict(kwargs),
        source=dict(inner.task.source),
    )


def task_of(env: str, kwargs: Mapping[str, Any]) -> CompressionTask:
    """The task of runs on an environment.

    Raises:
        BenchmarkError: the environment cannot be made.
    """
    return _inner(make_env(env, kwargs)).task


def work(
    run: Run, progressed: Callable[[int], None], task: CompressionTask | None = None
) -> Record:
    """``execute`` for an executor, which is told of the evaluations so far."""
    return execute(run, progressed, task)


def execute(
    run: Run,
    on_evaluation: Callable[[int], None] | None = None,
    task: CompressionTask | None = None,
) -> Record:
    """Carry out one run in this process and judge its best plan on the test images.

    The times are honest only in a fresh process: plans and re-fitted weights are remembered.

    Args:
        run: what to do.
        on_evaluation: called after each evaluation with how many there were.
        task: of the setting, where it has been loaded already; ``None``: it is loaded here.

    Raises:
        BenchmarkError: the environment is not that of the run's setting any more.
    """
    setting = run.setting
    # A task of its own brings its data and weights: the options that name them must not.
    own = {} if task is None else UNNAMED | {"task": task}
    env = make_env(setting.env, {**setting.kwargs, **own})
    inner = _inner(env)
    if inner.task.fingerprint != setting.task:
        raise BenchmarkError("the task's weights or images have changed since the study began")
    result = agents.make(run.agent, env, run.seed).learn(
        setting.episodes, on_evaluation=on_evaluation
    )
    full = _full(inner)
    best = result.best_episode
    network = amc_gym.compress(inner.task, result.best)
    metric = inner.engine.options.metric
    return Record(
        run=run,
        history=History.of(result.history),
        best=Best(
            reward=best.reward,
            reward_accuracy=best.accuracy,
            test_accuracy=amc_gym.accuracy(network, inner.task.test, metric),
            macs_ratio=best.macs / full.macs,
            params_ratio=best.params / full.params,
            plan=json.loads(result.best.to_json()),
        ),
        full=full,
        evaluations=result.evaluations,
        distinct=result.distinct,
        seconds=round(result.seconds, 3),
        environment_seconds=round(result.environment_seconds, 3),
        machine=machine(),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _full(env: AMCEnv) -> Full:
    """The uncompressed network, judged on the same images as the plans."""
    task, engine = env.task, env.engine
    n, metric = engine.reward_images, engine.options.metric
    return Full(
        reward_accuracy=amc_gym.accuracy(task.model, task.reward.first(n), metric),
        reward_images=n,
        test_accuracy=amc_gym.accuracy(task.model, task.test, metric),
        test_images=len(task.test),
        macs=engine.costs["macs"].full,
        params=engine.costs["params"].full,
        channels={unit.name: unit.channels for unit in engine.graph.units},
    )


def _inner(env: gym.Env[Any, Any]) -> AMCEnv:
    inner = env.unwrapped
    assert isinstance(inner, AMCEnv)
    return inner
