"""Episodes of fixed actions for every id and recovery, which no change of the code may change.

``python -m tests.golden.episodes`` compares bit for bit with the file and says what differs;
``--write`` writes the file again, which only a new version of an id allows.  The bits hold for one
machine: another processor or version of PyTorch rounds sums differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import amc_gym
from amc_gym._utils.machine import processor

FILE = Path(__file__).with_name("episodes.json")
SEEDS = (0, 1)
RECOVERIES = (
    "none",
    "bn",
    "sequential",
    "nonlinear",
    "reconstruct+bn",
    "reconstruct+sequential",
    "reconstruct+nonlinear+bn",
    "reconstruct+finetune:2",
)
OTHERS: tuple[dict[str, Any], ...] = (
    {"importance": "greedy"},
    {"importance": "bn-scale"},
    {"importance": "taylor"},
    {"action_mode": "feasible"},
    {"resource": "params", "reward": "error"},
    {"preserve_ratio": None, "reward": "error-log-macs", "channel_multiple": 4},
    {"preserve_ratio": None, "reward": "error-log-macs", "channel_multiple": 8},
    {"preserve_ratio": None, "reward": "error-log-params", "max_sparsity": 0.5},
    {"recovery": "none", "preserve_ratio": 0.5},
    {"resource": "params", "action_mode": "feasible", "preserve_ratio": 0.3},
    {"metric": "top5", "precision": "bf16"},
    {"action_mode": "residual", "observation": "comparable", "reward": "relative"},
)
WEIGHTS: tuple[dict[str, Any], ...] = tuple(
    {"granularity": "weight", "resource": "params", "preserve_ratio": 0.3, "recovery": recovery}
    for recovery in ("none", "bn", "finetune:2")
)
SMALL = {"reward_images": 100}


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return id and keywords by the name of a case; every id has a case with its defaults."""
    wanted: list[tuple[str, dict[str, Any]]] = []
    for recovery in RECOVERIES:
        wanted += [("AMC-MobileNet-v0", {"recovery": recovery})]
    for keywords in (*OTHERS, *WEIGHTS):
        wanted += [("AMC-MobileNet-v0", dict(keywords))]
    for name in ("MobileNet", "MobileNetV2", "Plain20", "ResNet50", "ResNet56", "VGG16"):
        wanted += [(f"AMC-{name}-v0", {})]
    wanted += [("AMC-ResNet56-v0", {"recovery": recovery}) for recovery in RECOVERIES[2:4]]
    wanted += [("AMC-Plain20-v0", {"recovery": recovery}) for recovery in RECOVERIES[4:]]
    wanted += [("AMC-Plain20-v0", {"importance": "greedy"}), ("AMC-Plain20-v0", dict(WEIGHTS[0]))]
    return {
        " ".join([id_, *(f"{k}={v}" for k, v in keywords.items())]): (id_, keywords)
        for id_, keywords in wanted
    }


def record(
    id_: str, keywords: dict[str, Any], seeds: Sequence[int] = SEEDS
) -> list[dict[str, Any]]:
    """Play one environment's episodes; return their results and the compressed networks' logits."""
    env = gym.make(id_, **(SMALL | keywords))
    inner: Any = env.unwrapped
    images = inner.task.test.batch(slice(8))
    episodes = []
    for seed in seeds:
        env.reset()
        observations, reward, done, info, t = [], 0.0, False, {}, 0
        while not done:
            # Ratios of small integers: the same on every machine and in every version of NumPy.
            action = np.array([((7 * t + 5 * seed + 3) % 11) / 12])
            observation, reward, done, _, info = env.step(action)
            observations.append(observation)
            t += 1
        plan = inner.plan
        network = amc_gym.compress(inner.task, plan)
        with torch.inference_mode():
            logits = network(images)
        decisions = {name: list(kept) for name, kept in plan.kept.items()}
        episodes.append(
            {
                "decisions": _hash({"kept": decisions, "weights": dict(plan.weights)}),
                "options": _hash(plan.options),
                "fingerprints": _hash(dict(plan.fingerprints)),
                "last_observation": " ".join(f"{value:.6g}" for value in observations[-2].tolist()),
                "observations": hashlib.sha256(np.array(observations).tobytes()).hexdigest()[:16],
                "logits": hashlib.sha256(logits.numpy().tobytes()).hexdigest()[:16],
                "macs": info["macs"],
                "params": info["params"],
                "accuracy": info["accuracy"],
                "reward": reward,
            }
        )
    env.close()
    return episodes


def machine() -> dict[str, str]:
    """Return the versions and the processor on which bits depend."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}",
    }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def main() -> int:
    """Compare all cases with the file, or write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.episodes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="the file anew")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    expected = json.loads(FILE.read_text())["episodes"]
    found = {name: expected[name] for name in cases() if name in expected and arguments.only}
    differences = 0
    for name, (id_, keywords) in cases().items():
        if arguments.only not in name:
            continue
        found[name] = record(id_, keywords)
        if arguments.write:
            print(name, flush=True)
            continue
        differs = sorted(
            {
                key
                for now, then in zip(found[name], expected[name], strict=True)
                for key in then
                if now[key] != then[key]
            }
        )
        differences += bool(differs)
        print(f"{name}: {', '.join(differs) if differs else 'equal'}", flush=True)
    if arguments.write:
        text = json.dumps({"machine": machine(), "episodes": found}, indent=1) + "\n"
        FILE.write_text(text)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
