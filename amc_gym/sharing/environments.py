"""Copies of an environment in other processes, which share its weights, images and statistics.

make = amc_gym.share(gym.make("AMC-MobileNet-v0"))
envs = gym.vector.AsyncVectorEnv([make] * 8, context="forkserver")
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.context import get_spawning_popen
from typing import Any

import gymnasium as gym
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker

from amc_gym._utils.arguments import path, whole
from amc_gym._utils.orphans import claim_server_folder, end_with_parent
from amc_gym._utils.shared_memory import Address, Region, State, dump, load
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.engine.analysis import Analysis
from amc_gym.engine.cache import LATEST, engines
from amc_gym.engine.engine import Engine
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.options import EnvOptions
from amc_gym.tasks.samples import Samples
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import CompressionTask

TRANSPARENT = (OrderEnforcing, PassiveEnvChecker)
"""Wrappers of ``gym.make`` that do not change behaviour; copies are made without them."""

NAMES = ("preserve_ratio", "channel_multiple", "source")
"""Attributes in which tasks may differ although their content is equal and they share an engine."""


@dataclass(frozen=True)
class Shipment:
    """An engine on its way to other processes.

    Attributes:
        address: of the memory region that holds its tensors.
        stream: everything else, pickled.
    """

    address: Address
    stream: bytes

    def __hash__(self) -> int:
        return hash(self.address)


@dataclass(frozen=True)
class Copied:
    """State of an environment besides its engine.

    Attributes:
        options: of the environment.
        latency: of the network, where latency is the resource.
        render_mode: of the environment.
        names: attributes of its task by ``NAMES``.
        spec: its specification, without the objects that come with the engine.
        threads: torch threads of the receiving processes; ``None``: each process's own choice.
    """

    options: EnvOptions
    latency: LatencyCost | None
    render_mode: str | None
    names: dict[str, Any]
    spec: EnvSpec | None
    threads: int | None

    def environment(self, made: Engine) -> AMCEnv:
        """Return a new environment, not reset yet."""
        task = _named(made.task, self.names)
        env = AMCEnv(
            made, self.options, latency=self.latency, task=task, render_mode=self.render_mode
        )
        if self.spec is not None:
            env.spec = copy.copy(self.spec)
            env.spec.kwargs = {"task": task} | self.spec.kwargs
        return env


class SharedEnv:
    """A callable that makes equal environments, in this process and in others; see ``share``."""

    def __init__(self, shipment: Shipment, copied: Copied, made: Engine | None = None) -> None:
        self._shipment, self._copied = shipment, copied
        self._engine = made  # in the process that shares it

    def __call__(self) -> AMCEnv:
        """Return a new environment, not reset yet.

        Raises:
            OSError: the shared memory is gone.
        """
        end_with_parent(self._shipment.address.files)
        made = self._engine or _sent_by_this_process(self._shipment)
        if made is None:
            made = _unpacked(self._shipment)
            if self._copied.threads is not None:
                torch.set_num_threads(self._copied.threads)
            engines.adopt(made)  # for amc_gym.compress and amc_gym.validate in this process
        return self._copied.environment(made)

    def close(self) -> None:
        """Free the memory: existing environments go on, making new ones elsewhere fails."""
        if self._engine is not None:
            sent = _sent.get(self._engine, {})
            for directory, (shipment, region) in list(sent.items()):
                if shipment == self._shipment:
                    region.close()
                    del sent[directory]

    def __reduce__(self) -> tuple[Any, ...]:
        if getattr(get_spawning_popen(), "method", None) == "forkserver":
            claim_server_folder()
        return SharedEnv, (self._shipment, self._copied)


def share(
    env: gym.Env[Any, Any], *, directory: str | None = None, threads: int | None = 1
) -> SharedEnv:
    """Return a function that makes equal environments in any process of this machine and user.

    Weights, images, factorisations and statistics lie in memory once, for all processes together,
    and are ready to use: a copy takes milliseconds, and nothing is loaded or calibrated again.  The
    returned function can be pickled and suits ``AsyncVectorEnv`` and Stable-Baselines3's
    ``SubprocVecEnv``.

    The memory lasts as long as the engine of ``env``, and at most as long as this process; sharing
    another environment of the same engine reuses it.  ``close`` frees it at once.  Processes
    started by multiprocessing that have made a copy end within a second of their parent's death,
    and remove the memory it left behind.

    Args:
        env: an ``AMCEnv``, wrapped by ``gym.make`` or not; its current episode does not matter.
        directory: folder for a temporary file that is used instead of shared memory.
        threads: torch threads of each process that makes copies, which would otherwise use as many
            as there are cores; ``None`` leaves the setting alone.

    Raises:
        ValueError: ``env`` is not an ``AMCEnv`` or has other wrappers, its tensors are not on the
            CPU, or its task cannot be pickled.
        OSError: there is not enough memory or disk space.
    """
    if directory is not None:
        directory = str(path("directory", directory))
    if threads is not None:
        threads = whole("threads", threads, at_least=1)
    inner = _unwrapped(env)
    made = inner.engine
    sent = _sent.setdefault(made, {})
    if directory not in sent:
        _ = made.task.fingerprint  # hashed here once, not in each process
        stream, region = dump(made, states=_states(made), directory=directory)
        sent[directory] = Shipment(region.address, stream), region
    return SharedEnv(sent[directory][0], _copied(inner, threads), made)


# Engine -> directory -> what was sent, and the memory region, which is freed with the engine.
_sent: weakref.WeakKeyDictionary[Engine, dict[str | None, tuple[Shipment, Region]]]
_sent = weakref.WeakKeyDictionary()


def _sent_by_this_process(shipment: Shipment) -> Engine | None:
    """Return the engine itself if it is sent back to the process that it came from."""
    for engine, sent in _sent.items():
        if any(shipment == other for other, _ in sent.values()):
            return engine
    return None


@lru_cache(maxsize=LATEST)
def _unpacked(shipment: Shipment) -> Engine:
    """Return the engine in a receiving process, where all environments share one copy."""
    return load(shipment.stream, shipment.address)


def _named(task: CompressionTask, names: dict[str, Any]) -> CompressionTask:
    """Return the task itself, or a task of equal content under other names."""
    if all(getattr(task, name) == value for name, value in names.items()):
        return task
    task = copy.copy(task)
    for name, value in names.items():
        object.__setattr__(task, name, value)
    return task


def _unwrapped(env: gym.Env[Any, Any]) -> AMCEnv:
    while isinstance(env, TRANSPARENT):
        env = env.env
    if isinstance(env, gym.Wrapper):
        name = type(env).__name__
        raise ValueError(
            f"share does not take an environment wrapped in {name}: share it first, and wrap the "
            f"copies, make = amc_gym.share(env); AsyncVectorEnv([lambda: {name}(make(), ...)] * n)"
        )
    if type(env) is not AMCEnv:
        raise ValueError(
            f"env: share takes an AMCEnv, not {type(env).__name__}: share the environment of one "
            'network, gym.make("AMC-...-v0"); processes make environments of a suite by its name'
        )
    return env


def _copied(env: AMCEnv, threads: int | None) -> Copied:
    spec = copy.copy(env.spec)
    if spec is not None:
        objects = {
            name
            for name in ("task", "importance", "recovery", "reward")
            if not isinstance(spec.kwargs.get(name, ""), str)
        }
        spec.kwargs = {k: v for k, v in spec.kwargs.items() if k not in objects}
    names = {name: getattr(env.task, name) for name in NAMES}
    return Copied(env.given, env.latency, env.render_mode, names, spec, threads)


def _states(made: Engine) -> dict[type, State]:
    """Return the results that are not sent: a process recomputes them or does not need them.

    Remembered plans are not sent either, see ``compression.evaluation.memory``.
    """
    return {
        Split: _without("image_hashes"),
        Samples: _without("image_hashes"),
        Analysis: _only("task", *made.prepare()),
    }


def _only(*names: str) -> Callable[[Any], dict[str, Any]]:
    return lambda obj: {name: value for name, value in vars(obj).items() if name in names}


def _without(*names: str) -> Callable[[Any], dict[str, Any]]:
    return lambda obj: {name: value for name, value in vars(obj).items() if name not in names}
