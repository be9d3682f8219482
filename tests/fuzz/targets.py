"""Targets: the public functions, draws of their arguments, and checks of their results."""

from __future__ import annotations

import copy
import json
import math
import random
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from fuzz import subjects
from fuzz.calls import Argument, Target, names, numbers, some
from torch import nn

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Recipe, Split
from amc_gym.compression.recovery import RECOVERIES as STEPS
from amc_gym.compression.recovery import chain
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env, make_vector_env
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.zoo.datasets import load

RECIPE = Recipe(1, 12, 0.05, schedule="cosine")


def _plain(value: Any) -> bool:
    """Tell whether a value survives JSON unchanged, types included."""
    return json.loads(json.dumps(value, allow_nan=False)) == value and "numpy" not in str(
        [type(leaf) for leaf in _leaves(value)]
    )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return (
        [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]
    )


# --- environments -------------------------------------------------------------------------------


def _make(**keywords: Any) -> AMCEnv:
    """Make an environment by ``gym.make`` where Gymnasium can copy the arguments, or directly."""
    made: Any
    try:
        copy.deepcopy(keywords)
        repr(keywords)
    except Exception:
        return make_env(**keywords)
    if keywords["render_mode"] is not None:  # which Gymnasium checks by its own rules
        return make_env(**keywords)
    made = gym.make("AMC-v0", **keywords)
    return made.unwrapped


def _check_env(env: AMCEnv, given: dict[str, Any], rng: random.Random) -> None:
    assert env.observation_space == gym.spaces.Box(0, 1, (11,), np.float32)
    assert env.action_space == gym.spaces.Box(0, 1, (1,), np.float32)
    assert _plain(env.options), env.options
    if env.spec is not None and isinstance(env.spec.kwargs["task"], str):
        env.spec.to_json()
    observation, info = env.reset(seed=0)
    assert info == {}
    terminated, reward = False, 0.0
    while not terminated:
        assert reward == 0
        assert observation in env.observation_space
        action = np.array([rng.random()], dtype=np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        assert type(reward) is float
        assert not truncated
        assert _plain(info), info
    assert observation in env.observation_space
    assert np.isfinite(reward)
    assert 0 <= info["accuracy"] <= 1
    plan = CompressionPlan.from_json(info["plan"])
    assert plan == env.plan
    assert plan.measured.images == env.options["reward_images"]
    kept = env.cost.total(plan.counts)
    assert kept == getattr(plan.measured, env.options["resource"])
    ratio = env.options["preserve_ratio"]
    assert ratio is None or kept <= ratio * env.cost.full * (1 + 1e-12)


def _importance(view: Any) -> np.ndarray:
    return np.arange(view.channels)[::-1]


ENV = {
    "task": Argument(
        right=some(subjects.task, lambda: subjects.make_task, lambda: "fuzz.subjects:make_task"),
        wrong=some(
            subjects.tiny,
            lambda: subjects.Tiny,
            lambda: CompressionTask,
            lambda: "MobilNet",
            lambda: "fuzz.subjects:tiny",
            lambda: "fuzz.subjects:nothing",
            lambda: "sys:exit",
            lambda: "sys:path",
            lambda: "nowhere:task",
            lambda: subjects.splits(),
        ),
        called=("network",),
    ),
    "dataset": Argument(right=some(lambda: "digits"), wrong=names("cifar10", "folder")[1]),
    "data_root": Argument(right=some(lambda: None), wrong=some(lambda: "data", lambda: Path("x"))),
    "weights": Argument(right=some(lambda: "bundled"), wrong=names("random", "torchvision")[1]),
    "resource": Argument(
        right=names("macs", "params")[0], wrong=names("macs", "params", "latency")[1]
    ),
    "preserve_ratio": Argument(
        right=numbers(0.5, 0.7, 1, 0.9),
        maybe=numbers(0.05, 0.2, 0.3),
        wrong=numbers(0, -0.5, 1.01, 7),
        number=True,
    ),
    "granularity": Argument(
        right=some(lambda: "channel"),
        maybe=some(lambda: "weight"),
        wrong=names("channel", "weight")[1],
    ),
    "reward": Argument(
        right=names("accuracy", "error", "error-log-macs", "error-log-params")[0],
        wrong=names("accuracy", "error", "error-log-latency")[1],
    ),
    "metric": Argument(right=names("top1", "top5")[0], wrong=names("top1", "top5")[1]),
    "action_mode": Argument(
        right=names("clamp", "feasible")[0], wrong=names("clamp", "feasible")[1]
    ),
    "importance": Argument(
        right=names("magnitude", "bn-scale", "taylor", "greedy")[0],
        maybe=some(lambda: _importance),
        wrong=some(
            lambda: lambda view: np.zeros(view.channels),
            lambda: lambda view: None,
            lambda: lambda: 1,
            lambda: "bnscale",
            lambda: "",
        ),
    ),
    "recovery": Argument(
        right=names("none", "reconstruct", "bn", "reconstruct+bn", "nonlinear", "finetune:1")[0],
        wrong=names("reconstruct+bn", "sequential", "bn+finetune")[1],
    ),
    "max_sparsity": Argument(
        right=some(
            lambda: None,
            lambda: np.float32(0.8),
            lambda: {"conv": 0.7, "linear": torch.tensor(0.9)},
        ),
        maybe=numbers(0, 0.1, 0.5),
        wrong=some(
            lambda: 1,
            lambda: -0.1,
            lambda: {"conv": 1.0, "linear": 0.5},
            lambda: {"conv": "0.5", "linear": 0.5},
            lambda: {"conv": True, "linear": 0.5},
            lambda: {"convolution": 0.5},
            lambda: {None: 0.5},
            lambda: {},
            lambda: [0.5, 0.5, 0.5],
        ),
        number=True,
    ),
    "channel_multiple": Argument(
        right=some(lambda: None, lambda: 1, lambda: np.int64(2), lambda: 1.0),
        maybe=numbers(4, 8, 10**6),
        wrong=numbers(0, -1, 0.5),
        number=True,
    ),
    "reward_images": Argument(
        right=some(lambda: None, lambda: np.int32(5), lambda: 12, lambda: torch.tensor(3)),
        wrong=numbers(0, -3, 13, 2.5),
        number=True,
    ),
    "precision": Argument(
        right=names("auto", "float32")[0],
        maybe=some(lambda: "bf16"),
        wrong=names("auto", "float32")[1],
    ),
    "evaluation": Argument(
        right=names("auto", "slim")[0],
        maybe=some(lambda: "resident"),
        wrong=names("auto", "slim")[1],
    ),
    "runtime": Argument(right=some(lambda: "torch"), wrong=names("onnx", "compile")[0]),
    "latency_table": Argument(right=some(lambda: None), wrong=some(lambda: "table.json")),
    "device": Argument(
        right=some(lambda: "auto", lambda: "cpu", lambda: torch.device("cpu")),
        wrong=some(lambda: "meta", lambda: "gpu", lambda: "cuda:99", lambda: "", lambda: "cpu:x"),
    ),
    "render_mode": Argument(
        right=names("ansi", "rgb_array")[0], wrong=names("ansi", "rgb_array", "human")[1]
    ),
}

ENV_RIGHT = {
    "dataset": "digits",
    "data_root": None,
    "weights": "bundled",
    "resource": "macs",
    "preserve_ratio": 0.6,
    "granularity": "channel",
    "reward": "accuracy",
    "metric": "top1",
    "action_mode": "clamp",
    "importance": "magnitude",
    "recovery": "reconstruct",
    "max_sparsity": None,
    "channel_multiple": None,
    "reward_images": None,
    "precision": "float32",
    "evaluation": "auto",
    "runtime": "torch",
    "latency_table": None,
    "device": "cpu",
    "render_mode": None,
}


def _check_vector(envs: AMCVectorEnv, given: dict[str, Any], rng: random.Random) -> None:
    n = envs.num_envs
    assert type(n) is int
    observations, _ = envs.reset(seed=[None] * n)
    assert observations.shape == (n, 11)
    for _ in range(3):
        actions = np.full((n, 1), rng.random())
        observations, rewards, ended, _, infos = envs.step(actions)
    assert ended.all()
    assert observations.shape == (n, 11)
    assert np.isfinite(rewards).all()
    assert len(infos["final_info"]["plan"]) == n


def _network(**keywords: Any) -> CompressionTask:
    return make_env(reward_images=5, recovery="none", **keywords).task


# --- tasks, splits and recipes ------------------------------------------------------------------


def _spoilt(value: float, name: str) -> nn.Module:
    model = subjects.tiny()
    model.state_dict()[name].view(-1)[0] = value
    return model


def _check_task(task: CompressionTask, given: dict[str, Any], rng: random.Random) -> None:
    assert type(task.preserve_ratio) is float
    assert 0 < task.preserve_ratio <= 1
    assert type(task.channel_multiple) is int
    assert isinstance(task.model, nn.Module)
    assert task.classes == subjects.CLASSES
    for name in ("calibration", "reward", "test"):
        assert isinstance(getattr(task, name), Split)
    assert len(task.fingerprint) == 64
    assert copy.deepcopy(task) is task


def _split_argument(name: str) -> Argument:
    def right(rng: random.Random) -> Any:
        return rng.choice(subjects.ways_to_hand_over(subjects.splits()[name]))

    def wrong(rng: random.Random) -> Any:
        return rng.choice(subjects.broken_splits(subjects.splits()[name]))

    return Argument(right, wrong=wrong, called=("splits",))


TASK = {
    "model": Argument(
        right=some(subjects.tiny, lambda: nn.DataParallel(subjects.tiny())),
        wrong=some(
            lambda: None,
            lambda: subjects.Tiny,
            lambda: subjects.tiny().state_dict(),
            lambda: subjects.tiny().train(),
            lambda: subjects.tiny().double(),
            lambda: subjects.tiny().to("meta"),
            lambda: nn.Sequential(nn.Flatten()).eval(),
            lambda: nn.Sequential(subjects.tiny(), nn.Softmax(0), nn.Unflatten(1, (2, 3))).eval(),
            lambda: _spoilt(np.nan, "head.weight"),
            lambda: _spoilt(np.inf, "a.weight"),
            lambda: _spoilt(np.nan, "norm.running_mean"),
            lambda: nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten()).eval(),
        ),
        called=("N, classes",),
    ),
    **{name: _split_argument(name) for name in ("calibration", "reward", "test")},
    "preserve_ratio": Argument(right=numbers(0.5, 0.25, 1), wrong=numbers(0, -1, 1.5), number=True),
    "channel_multiple": Argument(right=numbers(1, 2, 8), wrong=numbers(0, -1, 0.5), number=True),
    "source": Argument(
        right=some(lambda: (("task", "a:b"),), lambda: {"task": None}),
        wrong=some(lambda: (("name", "x"),), lambda: (("task", 3),), lambda: "task", lambda: None),
    ),
}


def _check_split(split: Split, given: dict[str, Any], rng: random.Random) -> None:
    assert split.images.dtype in (torch.float32, torch.uint8)
    assert split.labels.dtype == torch.int64
    assert len(split) == len(split.images) > 0
    batch = split.batch(slice(3))
    assert batch.dtype == torch.float32
    assert batch.isfinite().all()
    assert (split.mean is None) == (split.images.dtype == torch.float32)


def _bytes() -> Any:
    return np.zeros((4, 3, 5, 5), dtype=np.uint8)


SPLIT = {
    "images": Argument(
        right=some(_bytes, lambda: torch.from_numpy(_bytes())),
        wrong=some(
            lambda: _bytes()[0],
            lambda: _bytes().astype(np.int64),
            lambda: _bytes().astype(np.float32),
            lambda: _bytes()[:3],
            lambda: _bytes()[:, :0],
            lambda: _bytes().astype(str),
            lambda: _bytes().astype(object),
            lambda: "images",
        ),
        called=("mean", "std"),
    ),
    "labels": Argument(
        right=some(
            lambda: [0, 1, 2, 3], lambda: np.arange(4, dtype=np.uint8), lambda: torch.arange(4)
        ),
        wrong=some(
            lambda: [0, 1],
            lambda: np.zeros(4),
            lambda: np.zeros((4, 1), int),
            lambda: ["a", "b", "c", "d"],
            lambda: [None] * 4,
            lambda: [True] * 4,
        ),
    ),
    "mean": Argument(
        right=some(lambda: (0, 0, 0), lambda: np.zeros(3), lambda: torch.zeros(3)),
        wrong=some(
            lambda: (0, 0), lambda: (0, 0, None), lambda: (0, 0, np.nan), lambda: 0.5, lambda: "000"
        ),
    ),
    "std": Argument(
        right=some(
            lambda: (1, 1, 1), lambda: np.ones(3, np.float32), lambda: [np.float64(0.5)] * 3
        ),
        wrong=some(
            lambda: (1, 1), lambda: (1, 1, 0), lambda: (1, 1, -1), lambda: (1, 1, np.inf), lambda: 1
        ),
    ),
}


def _check_recipe(recipe: Recipe, given: dict[str, Any], rng: random.Random) -> None:
    for entry in fields(recipe):
        value = getattr(recipe, entry.name)
        assert type(value) in (int, float, str, bool)
        if not isinstance(value, str | bool):
            assert math.isfinite(value)
    assert hash(recipe) is not None


def _number(right: tuple[float, ...], wrong: tuple[float, ...]) -> Argument:
    return Argument(numbers(*right), wrong=numbers(*wrong), number=True)


RECIPES = {
    "epochs": _number((1, 30), (0, -1, 1.5)),
    "batch_size": _number((1, 64), (0, -8, 0.5)),
    "learning_rate": _number((0.1, 1, 0.5), (0, -0.1)),
    "schedule": Argument(names("cosine", "one-cycle")[0], wrong=names("cosine", "one-cycle")[1]),
    "warmup": _number((0.25, 0.5), (0, 1, -0.1)),
    "optimizer": Argument(names("sgd", "adamw")[0], wrong=names("sgd", "adamw")[1]),
    "momentum": _number((0, 0.5), (1, -0.1, 2)),
    "weight_decay": _number((0, 0.5, 1), (-1, -0.5)),
    "label_smoothing": _number((0, 0.5), (1, -0.1)),
    "distillation": _number((0, 0.5, 1), (1.5, -1)),
    "temperature": _number((1, 4, 0.5), (0, -1)),
    "shift": _number((0, 2), (-1, 0.5)),
    "flip": Argument(
        some(lambda: True, lambda: np.bool_(False)), wrong=some(lambda: 1, lambda: 0.0)
    ),
    "precision": Argument(names("float32", "bf16", "auto")[0], wrong=names("float32", "auto")[1]),
    "seed": _number((0, 7), (-1, 0.5)),
}


# --- functions of tasks and plans ---------------------------------------------------------------

TASKS = Argument(
    right=some(subjects.task, lambda: subjects.make_task),
    wrong=some(subjects.env, subjects.tiny, lambda: "MobilNet", lambda: subjects.splits()),
    called=("network",),
)
PLANS = Argument(
    right=some(subjects.plan),
    wrong=some(lambda: subjects.plan().to_json(), lambda: "plan.json", lambda: Path("plan.json")),
)
RECOVERIES = Argument(
    right=names("none", "reconstruct", "bn")[0],
    maybe=some(lambda: None),
    wrong=names("reconstruct+bn", "sequential")[1],
)
TRUTHS = Argument(some(lambda: False), wrong=some(lambda: 0, lambda: "no"))


def _check_network(network: nn.Module, given: dict[str, Any], rng: random.Random) -> None:
    assert not any(module.training for module in network.modules())
    logits = network(subjects.task().example)
    assert logits.shape == (1, subjects.CLASSES)
    assert logits.isfinite().all()


def _check_plan(plan: CompressionPlan, given: dict[str, Any], rng: random.Random) -> None:
    assert CompressionPlan.from_json(plan.to_json()) == plan


def _holds(found: Any, given: dict[str, Any], rng: random.Random) -> None:
    assert found.ok, found.problems


def _is_share(found: Any, given: dict[str, Any], rng: random.Random) -> None:
    assert type(found) is float
    assert 0 <= found <= 1


def _export(path: Any = None, **given: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "network.safetensors" if path is None else path
        return amc_gym.export(path=where, **given)


def _reset(seed: Any, options: Any) -> Any:
    return subjects.env().reset(seed=seed, options=options)


def _check_reset(found: Any, given: dict[str, Any], rng: random.Random) -> None:
    observation, info = found
    assert observation in subjects.env().observation_space
    assert info == {}


def _step(action: Any) -> Any:
    env = subjects.env()
    env.reset()
    return env.step(action)


def _check_step(found: Any, given: dict[str, Any], rng: random.Random) -> None:
    observation, reward, terminated, truncated, info = found
    assert observation in subjects.env().observation_space
    assert (reward, terminated, truncated) == (0, False, False)
    assert 0 <= info["sparsity"] <= 0.8


def _reset_all(seed: Any, options: Any) -> Any:
    envs = make_vector_env(2, subjects.task())
    envs.reset()
    return envs.reset(seed=seed, options=options)


def _check_reset_all(found: Any, given: dict[str, Any], rng: random.Random) -> None:
    assert found[0].shape == (2, 11)


def _query(rng: random.Random) -> str:
    options = rng.choices(("resolution", "size", "train", "download", "unreadable", "x", ""), k=2)
    values = rng.choices(("8", "20000", "-1", "yes", "0.5", "", "1e3", "9" * 30, "%00", "٣"), k=2)
    query = "&".join(f"{o}={v}" for o, v in zip(options, values, strict=True))
    return f"{rng.choice(('digits', 'folder', 'cifar10', 'imagenet'))}?{query}"


def _steps(rng: random.Random) -> str:
    chosen = rng.choices(
        (*STEPS, "none", "finetune:5", "finetune:0", "bn:1", ""), k=rng.randint(1, 4)
    )
    return "+".join(chosen)


SEEDS = Argument(numbers(0, 3), maybe=some(lambda: None), wrong=numbers(-1, 0.5), number=True)

TARGETS = {
    "make": Target(_make, lambda: ENV_RIGHT | {"task": subjects.task()}, ENV, _check_env, weight=9),
    "make (a registered network)": Target(
        _network,
        lambda: {"task": "Plain20", "dataset": "digits", "data_root": None, "weights": "bundled"},
        {
            "task": Argument(wrong=names("Plain20", "MobileNet")[1], called=("network",)),
            "dataset": Argument(
                some(lambda: "digits"), maybe=_query, called=("option", "data_root", "weights")
            ),
            "data_root": Argument(
                some(lambda: None, lambda: "nowhere"),  # digits need none
                wrong=some(lambda: 3, lambda: b"x", lambda: True, lambda: ["x"]),
                file=True,
            ),
            "weights": Argument(
                some(lambda: "bundled"),
                wrong=some(lambda: "torchvision", lambda: "x.pt", lambda: Path("x.safetensors")),
                file=True,
            ),
        },
        lambda found, given, rng: None,
        weight=2,
    ),
    "make_vec": Target(
        make_vector_env,
        lambda: {"num_envs": 2, "task": subjects.task()},
        {
            "num_envs": Argument(numbers(1, 3), wrong=numbers(0, -1, 10**9, 1.5), number=True),
            "task": ENV["task"],
            "preserve_ratio": ENV["preserve_ratio"],
            "reward_images": ENV["reward_images"],
        },
        _check_vector,
    ),
    "reset": Target(
        _reset,
        lambda: {"seed": None, "options": None},
        {"seed": SEEDS, "options": Argument(some(lambda: {}, lambda: None), wrong=some(list))},
        _check_reset,
    ),
    "step": Target(
        _step,
        lambda: {"action": np.array([0.5])},
        {
            "action": Argument(
                some(
                    lambda: np.array([0.3], np.float32),
                    lambda: [1],
                    lambda: torch.tensor([2.0]),
                    lambda: np.array([-np.inf]),
                ),
                wrong=some(
                    lambda: 0.5,
                    lambda: [np.nan],
                    lambda: [True],
                    lambda: ["0.5"],
                    lambda: [[0.5]],
                    lambda: [None],
                    lambda: [[1], [2, 3]],
                    lambda: torch.tensor([0.5], requires_grad=True),
                ),
            )
        },
        _check_step,
    ),
    "reset all": Target(
        _reset_all,
        lambda: {"seed": None, "options": None},
        {
            "seed": Argument(
                some(lambda: [1, 2], lambda: np.array([1, 2]), lambda: np.int64(4)),
                wrong=some(lambda: [1], lambda: [1, -2], lambda: ["a", "b"], lambda: "12"),
                number=True,
                called=("seeds",),
            ),
            "options": Argument(
                some(lambda: {}, lambda: {"reset_mask": np.array([True, False])}),
                wrong=some(
                    lambda: {"reset_mask": [True]}, lambda: {"reset_mask": np.ones(2)}, lambda: [1]
                ),
            ),
        },
        _check_reset_all,
    ),
    "CompressionTask": Target(
        CompressionTask,
        lambda: {"model": subjects.tiny(), **subjects.splits()},
        TASK,
        _check_task,
        weight=4,
    ),
    "Split": Target(
        Split,
        lambda: {"images": _bytes(), "labels": [0, 1, 2, 3], "mean": (0.5,) * 3, "std": (1,) * 3},
        SPLIT,
        _check_split,
        weight=3,
    ),
    "Recipe": Target(
        Recipe,
        lambda: {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
        RECIPES,
        _check_recipe,
        weight=4,
    ),
    "load": Target(
        lambda dataset: load(dataset),
        lambda: {"dataset": "digits"},
        {
            "dataset": Argument(
                some(lambda: "digits", lambda: "digits?resolution=8"),
                maybe=_query,
                wrong=names("digits", "imagenet", "digits?resolution=16")[1],
                called=("option", "data_root", "resolution", "train", "unreadable", "download"),
            )
        },
        lambda found, given, rng: _check_split(found.reward, given, rng),
        weight=2,
    ),
    "recovery": Target(
        chain,
        lambda: {"recovery": "none"},
        {"recovery": Argument(names("none", *STEPS)[0], maybe=_steps)},
        lambda found, given, rng: None,
    ),
    "search": Target(
        lambda **given: amc_gym.search(**given),
        lambda: {"env": subjects.env(), "evaluations": 2, "seed": 0, "progress": False},
        {
            "env": Argument(
                some(subjects.env, subjects.task, lambda: subjects.make_task),
                wrong=some(
                    lambda: gym.make("CartPole-v1"),
                    lambda: make_vector_env(2, subjects.task()),
                    subjects.tiny,
                ),
                called=("task", "network"),
            ),
            "evaluations": Argument(numbers(1, 3), wrong=numbers(0, -1, 1.5), number=True),
            "seed": Argument(numbers(0, 3), wrong=numbers(-1, 0.5), number=True),
            "progress": TRUTHS,
            "found": Argument(
                some(lambda: None, lambda: lambda plan: None), wrong=some(list, lambda: 3)
            ),
        },
        _check_plan,
        weight=2,
    ),
    "compress": Target(
        amc_gym.compress,
        lambda: {"task": subjects.task(), "plan": subjects.plan()},
        {"task": TASKS, "plan": PLANS, "recovery": RECOVERIES},
        _check_network,
    ),
    "validate": Target(
        amc_gym.validate,
        lambda: {"task": subjects.task(), "plan": subjects.plan()},
        {"task": TASKS, "plan": PLANS},
        _holds,
    ),
    "finetune": Target(
        amc_gym.finetune,
        lambda: {
            "task": subjects.task(),
            "plan": subjects.plan(),
            "train_split": subjects.training(),
            "recipe": RECIPE,
            "progress": False,
            "device": "cpu",
        },
        {
            "task": TASKS,
            "plan": PLANS,
            "train_split": Argument(
                lambda rng: rng.choice(subjects.ways_to_hand_over(subjects.training())),
                wrong=lambda rng: rng.choice(subjects.broken_splits(subjects.training())),
            ),
            "recipe": Argument(
                some(lambda: RECIPE),
                wrong=some(lambda: {"epochs": 1}, lambda: Recipe, lambda: "cosine"),
            ),
            "recovery": RECOVERIES,
            "checkpoint": Argument(some(lambda: None), wrong=some(lambda: 3, lambda: b"x", list)),
            "device": ENV["device"],
            "progress": TRUTHS,
            "on_epoch": Argument(
                some(lambda: None, lambda: lambda epoch: None), wrong=some(list, lambda: 3)
            ),
        },
        _check_network,
        weight=2,
    ),
    "export": Target(
        _export,
        lambda: {"network": subjects.small(), "task": subjects.task(), "overwrite": True},
        {
            "network": Argument(wrong=some(subjects.env, lambda: None, subjects.plan)),
            "task": TASKS,
            "format": Argument(
                some(lambda: None, lambda: "safetensors"), wrong=names("onnx", "safetensors")[1]
            ),
            "overwrite": Argument(some(lambda: True), wrong=some(lambda: 0, lambda: "no")),
            "path": Argument(
                wrong=some(lambda: 3, lambda: b"x", lambda: "network", lambda: ""),
                called=("must end in",),
            ),
        },
        lambda found, given, rng: None,
    ),
    "accuracy": Target(
        amc_gym.accuracy,
        lambda: {"network": subjects.task().model, "split": subjects.splits()["test"]},
        {
            "network": Argument(some(subjects.tiny), wrong=some(subjects.env, lambda: None)),
            "split": Argument(
                lambda rng: rng.choice(subjects.ways_to_hand_over(subjects.splits()["test"]))
            ),
            "metric": Argument(names("top1", "top5")[0], wrong=names("top1", "top5")[1]),
            "batch_size": Argument(numbers(1, 5, 512), wrong=numbers(0, -1, 0.5), number=True),
        },
        _is_share,
    ),
    "share": Target(
        amc_gym.share,
        lambda: {"env": subjects.env()},
        {
            "env": Argument(some(subjects.env), wrong=some(subjects.task, lambda: "AMC-v0")),
            "threads": Argument(
                some(lambda: None, lambda: np.int64(2)), wrong=numbers(0, -1, 0.5), number=True
            ),
        },
        lambda found, given, rng: _check_env(found(), given, rng),
    ),
}
