"""Execution of one run: make the environment, let the agent search, evaluate its best plan."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import gymnasium as gym

import agents
import amc_gym
from amc_gym import CompressionPlan, CompressionTask
from amc_gym.envs.amc import AMCEnv
from benchmarks.machine import machine, versions
from benchmarks.studies.journals import entry
from benchmarks.studies.records import Best, Full, History, Record
from benchmarks.studies.runs import BenchmarkError, Entrant, Run, Setting

UNNAMED = {"dataset": "digits", "data_root": None, "weights": "bundled"}
"""Default options of an environment whose task is given as an object."""


def import_modules(modules: Iterable[str]) -> None:
    """Import modules that register a user's own agents or environments.

    Args:
        modules: their names, or "package.module:attribute" as ``names_of`` takes it.

    Raises:
        BenchmarkError: one cannot be imported.
    """
    for module in modules:
        if ":" in module:
            names_of([module])
            continue
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise BenchmarkError(f"cannot import {module!r}: {error}") from error


def names_of(words: Iterable[str]) -> list[str]:
    """Return the names of the agents on a command line, see ``agents.named``.

    Raises:
        BenchmarkError: there is none, one is unknown, or one cannot be imported.
    """
    try:
        names = agents.named(words)
    except (ValueError, ImportError) as error:
        raise BenchmarkError(str(error)) from error
    if not names:
        raise BenchmarkError("--agents names no agent")
    return names


def modules_in(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that name agents by their modules, which workers have to import."""
    return tuple(word for word in words if ":" in word)


def make_env(env: str, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """Return the environment of a run.

    Raises:
        BenchmarkError: the id or an option is unknown or does not fit.
    """
    try:
        # The passive checker would be timed as part of every step.
        made = gym.make(env, disable_env_checker=True, **kwargs)
    except (gym.error.Error, ValueError, TypeError, OSError, ImportError) as error:
        raise BenchmarkError(f"cannot make {env}: {error}") from error
    if not isinstance(made.unwrapped, AMCEnv):
        raise BenchmarkError(f"{env} is not a compression environment: try AMC-MobileNet-v0")
    return made


def setting_of(env: str, kwargs: Mapping[str, Any], episodes: int) -> Setting:
    """Return the setting of runs on an environment, with its options resolved.

    Raises:
        BenchmarkError: the environment cannot be made, or ``episodes`` is below 1.
    """
    if episodes < 1:
        raise BenchmarkError(f"--episodes must be at least 1, not {episodes}")
    return setting_in(_inner(make_env(env, kwargs)), env, kwargs, episodes)


def setting_in(inner: AMCEnv, env: str, kwargs: Mapping[str, Any], episodes: int) -> Setting:
    """Return the setting of runs on an existing environment.

    Args:
        inner: the environment.
        env: its id.
        kwargs: keywords that it was made with.
        episodes: evaluations that each run may spend.
    """
    return Setting(
        env=env,
        task=inner.task.fingerprint,
        options=inner.options,
        episodes=episodes,
        kwargs=dict(kwargs),
        source=dict(inner.task.source),
    )


def task_of(env: str, kwargs: Mapping[str, Any]) -> CompressionTask:
    """Return the task of runs on an environment.

    Raises:
        BenchmarkError: the environment cannot be made.
    """
    return _inner(make_env(env, kwargs)).task


def entrants_of(
    setting: Setting, words: Iterable[str], arguments: Mapping[str, Any]
) -> list[Entrant]:
    """Return the agents of a study, with fingerprints of their code and with their arguments.

    Args:
        setting: of the study.
        words: names of agents, or other words that ``names_of`` accepts.
        arguments: keyword arguments of a single agent, or by agent's name.

    Raises:
        BenchmarkError: there is no agent, one is unknown, or one does not take its arguments.
    """
    names = names_of(words)
    by_agent = _by_agent(names, arguments)
    found = []
    for name in names:
        given = by_agent.get(name, {})
        try:
            if given:  # checked now rather than after hours
                agents.make(name, make_env(setting.env, setting.kwargs), 0, **given)
            found.append(Entrant(name, agents.fingerprint(name, **given), given))
        except (TypeError, ValueError, OSError, ImportError) as error:
            raise BenchmarkError(f"cannot make agent {name!r}: {error}") from error
    return found


def _by_agent(names: list[str], arguments: Mapping[str, Any]) -> Mapping[str, dict[str, Any]]:
    each = all(key in names and isinstance(value, dict) for key, value in arguments.items())
    if each:
        return arguments
    named = (key for key, value in arguments.items() if isinstance(value, dict))
    if absent := [key for key in named if key in agents.FACTORIES and key not in names]:
        raise BenchmarkError(
            f"--agent-args has arguments of {', '.join(absent)}, not among the agents here, "
            f"{', '.join(names)}: name it in --agents, or leave its arguments out"
        )
    if len(names) > 1:
        raise BenchmarkError(
            "--agent-args with several agents needs their names, as in "
            f'{{"{names[0]}": {json.dumps(dict(arguments))}}}'
        )
    return {names[0]: dict(arguments)}


class OnProgress(Protocol):
    """A callback that follows the progress of a run."""

    def __call__(self, steps: int, news: Any = None) -> None:
        """Report the number of evaluations; ``news`` is the last episode, see `journals`."""
        ...


def work(run: Run, on_progress: OnProgress, task: CompressionTask | None = None) -> Record:
    """Run ``execute`` for an executor, which follows its evaluations and episodes."""
    return execute(run, on_progress, task)


def execute(
    run: Run, on_progress: OnProgress | None = None, task: CompressionTask | None = None
) -> Record:
    """Execute one run in this process, and evaluate its best plan on the test images.

    Its times are only valid in a fresh process, because plans and re-fitted weights are remembered.

    Args:
        run: the run.
        on_progress: called after each evaluation, and again with each finished episode.
        task: task of the setting, if it is loaded already; ``None``: it is loaded here.

    Raises:
        BenchmarkError: the environment has changed since the run's setting was made, or the agent's
            code has changed since the run was made.
    """
    setting = run.setting
    # A task given as an object has its data and weights, so options must not name others.
    own = {} if task is None else UNNAMED | {"task": task}
    env = make_env(setting.env, {**setting.kwargs, **own})
    inner = _inner(env)
    if inner.task.fingerprint != setting.task:
        raise BenchmarkError("the task's weights or images have changed since the study began")
    if run.code is not None and run.code != agents.fingerprint(run.agent, **run.arguments):
        raise BenchmarkError(
            f"the code of {run.agent!r} has changed since the study began: the same command "
            "begins it anew"
        )
    agent = agents.make(run.agent, env, run.seed, **run.arguments)
    best: CompressionPlan | None = None

    def on_episode(episode: agents.Episode) -> None:
        nonlocal best
        assert on_progress is not None
        better = agent.recorder.best is not best
        best = agent.recorder.best
        learnt = agent.diagnostics()
        news = entry(episode, best if better else None)
        on_progress(episode.evaluation, news | ({"learner": learnt} if learnt else {}))

    result = agent.learn(setting.episodes, None if on_progress is None else on_episode, on_progress)
    return record_of(run, inner, result)


def record_of(run: Run, env: AMCEnv, result: agents.Result) -> Record:
    """Return the record of a run that has ended, with its best plan evaluated on the test images.

    Args:
        run: the run.
        env: environment of the run.
        result: its result.
    """
    full, best = _full(env), result.best_episode
    network = amc_gym.compress(env.task, result.best)
    objective = env.engine.objective
    return Record(
        run=run,
        history=History.of(result.history),
        best=Best(
            reward=best.reward,
            reward_accuracy=best.accuracy,
            test_accuracy=amc_gym.score(network, env.task.test, objective),
            macs_ratio=best.macs / full.macs,
            params_ratio=best.params / full.params,
            plan=result.best,
        ),
        full=full,
        evaluations=result.evaluations,
        distinct=result.distinct,
        seconds=round(result.seconds, 3),
        environment_seconds=round(result.environment_seconds, 3),
        machine=machine(),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        stopped=result.stopped,
    )


def _full(env: AMCEnv) -> Full:
    """Return the figures of the uncompressed network, on the same images as the plans."""
    task, engine = env.task, env.engine
    n, objective = engine.reward_images, engine.objective
    return Full(
        reward_accuracy=amc_gym.score(task.model, task.reward.first(n), objective),
        reward_images=n,
        test_accuracy=amc_gym.score(task.model, task.test, objective),
        test_images=len(task.test),
        macs=engine.costs["macs"].full,
        params=engine.costs["params"].full,
        channels={unit.name: unit.channels for unit in engine.graph.units},
    )


def _inner(env: gym.Env[Any, Any]) -> AMCEnv:
    inner = env.unwrapped
    assert isinstance(inner, AMCEnv)
    return inner
