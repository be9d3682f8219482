"""Compress somebody else's ResNet-56 to half its MACs, through the public interface.

    python examples/compress_resnet56.py --data-root DIR --weights resnet56.th

``DIR`` holds ``cifar10.npz`` (keys ``train_images``, ``test_images``, and ``_labels`` likewise) or
the official CIFAR-10 files; the weights are a ResNet-56 of pytorch_resnet_cifar10 by Y. Idelbayev.
That network was trained on every training image, so only test images can judge it: the search sees
the first 500, and the report is on the next 500.
"""

from __future__ import annotations

import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import tyro

import amc_gym
from amc_gym.zoo import checkpoints
from amc_gym.zoo.models import CifarResNet

# ImageNet's, with which this network was trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CALIBRATION = 2000
REWARD = TEST = 500


def read_images(root: Path) -> tuple[amc_gym.Split, amc_gym.Split]:
    """Read training and test images as bytes, which are normalised just before the network."""
    archive = root / "cifar10.npz"
    if archive.exists():
        with np.load(archive) as arrays:
            parts = [(arrays[f"{p}_images"], arrays[f"{p}_labels"]) for p in ("train", "test")]
    else:
        from torchvision.datasets import CIFAR10

        both = [CIFAR10(str(root), train=train) for train in (True, False)]
        parts = [(part.data, np.array(part.targets)) for part in both]
    train, test = (
        amc_gym.Split(images.transpose(0, 3, 1, 2), labels.reshape(-1), MEAN, STD)
        for images, labels in parts
    )
    return train, test


def part(split: amc_gym.Split, start: int, stop: int) -> amc_gym.Split:
    """Return images ``start`` to ``stop`` of a split."""
    return amc_gym.Split(split.images[start:stop], split.labels[start:stop], MEAN, STD)


def main(
    data_root: Path,
    weights: Path,
    preserve_ratio: float = 0.5,
    evaluations: int = 200,
    final_recovery: str = "nonlinear",
    out: Path | None = None,
) -> None:
    """Compress a third party's ResNet-56 and print its accuracy before and after.

    Args:
        data_root: folder of CIFAR-10.
        weights: checkpoint of the network.
        preserve_ratio: fraction of the MACs to keep.
        evaluations: how many plans the search may try.
        final_recovery: recovery of the final network; the search refits each layer by itself,
            which costs next to nothing.
        out: where to save the plan.
    """
    model = CifarResNet(56)
    checkpoints.put(checkpoints.read(weights), model, str(weights))
    train, test = read_images(data_root)
    task = amc_gym.CompressionTask(
        model.eval(),
        calibration=part(train, 0, CALIBRATION),
        reward=part(test, 0, REWARD),
        test=part(test, REWARD, REWARD + TEST),
    )

    began = time.perf_counter()
    env = gym.make(
        "AMC-v0",
        task=task,
        preserve_ratio=preserve_ratio,
        importance="greedy",
        recovery="reconstruct",
    )
    units = env.unwrapped.engine.graph.units
    print(f"{len(units)} units, ready after {time.perf_counter() - began:.0f} s")
    uniform = amc_gym.search(env, evaluations=1)  # which tries the uniform plan first
    began = time.perf_counter()
    found = amc_gym.search(env, evaluations=evaluations)
    print(f"{evaluations} plans in {time.perf_counter() - began:.0f} s")

    header = "no fine-tuning", "MACs", f"reward accuracy %, n = {REWARD}"
    print(f"\n| {' | '.join(header)} | test accuracy %, n = {TEST} |")
    print("|:--|--:|--:|--:|")
    rows = {"before": (env.unwrapped.engine.costs["macs"].full, model)}
    for name, plan in (("uniform", uniform), ("searched", found)):
        macs = plan.measured.macs
        rows[name] = macs, amc_gym.compress(task, plan)
        rows[f"{name}, {final_recovery}"] = macs, amc_gym.compress(task, plan, final_recovery)
    for name, (macs, network) in rows.items():
        reward, final = (amc_gym.accuracy(network, s) for s in (task.reward, task.test))
        print(f"| {name} | {macs:,} | {100 * reward:.1f} | {100 * final:.1f} |")
    validation = amc_gym.validate(task, found)
    print("\nthe plan replays" if validation.ok else f"\nnot replayed: {validation.problems}")
    if out is not None:
        found.save(out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tyro.cli(main)
