"""The checks that every compressed network has to pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Split
from amc_gym.compression.slim import mask
from amc_gym.engine.cache import engines

SHAPE = (3, 32, 32)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def with_statistics(network: nn.Module) -> nn.Module:
    """Randomise norms, or faults in folding do not show; return the network in eval mode."""
    generator = torch.Generator().manual_seed(1)
    for norm in (module for module in network.modules() if isinstance(module, NORMS)):
        for name, low, high in (
            ("weight", 0.5, 1.5),
            ("running_var", 0.5, 1.5),
            ("bias", -0.5, 0.5),
            ("running_mean", -0.5, 0.5),
        ):
            tensor = getattr(norm, name, None)
            if tensor is not None:
                tensor.data.uniform_(low, high, generator=generator)
    return network.eval()


def split(n: int, seed: int) -> Split:
    """Draw n images of noise, with random labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, *SHAPE, generator=generator)
    return Split(images, torch.randint(10, (n,), generator=generator))


def task_of(network: nn.Module) -> CompressionTask:
    """Make a task of a network on noise."""
    return CompressionTask(network, split(60, 1), split(40, 2), split(30, 3))


def searched(task: CompressionTask, ratio: float | None = None) -> tuple[Any, dict[str, Any]]:
    """Play random actions; return the environment after the episode, and the last info."""
    env: Any = gym.make(
        "AMC-v0", task=task, preserve_ratio=ratio, reward="error-log-macs"
    ).unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    terminated, info = False, {}
    while not terminated:
        *_, terminated, _, info = env.step(rng.uniform(0.2, 0.7, 1).astype(np.float32))
    return env, info


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(images)


def check(task: CompressionTask) -> tuple[CompressionPlan, nn.Module]:
    """Search, compress, count, compare and validate; return the plan and its slim network.

    Asserts that MACs and parameters are those that PyTorch counts, that the network that the search
    judged and the masked original give the compressed network's logits, and that the plan is valid.
    """
    env, info = searched(task)
    plan, images = env.plan, task.reward.batch(slice(3))
    small = amc_gym.compress(task, plan)
    # With gradients PyTorch runs attention step by step, which its counter needs.
    with FlopCounterMode(display=False) as counter:
        small.requires_grad_(True)(task.example)
    assert info["macs"] == counter.get_total_flops() // 2 < env.cost.full
    assert info["params"] == sum(p.numel() for p in small.parameters())
    judged = env.engine.evaluator.network(plan.counts)
    form = env.engine.form
    close(logits(judged, form.lay(images)), logits(small, images), 1e-2)
    graph = engines.analysis(task).graph
    plain = amc_gym.compress(task, plan, recovery="none")
    masked = mask(task.model, graph, plan.kept_channels(graph))
    close(logits(plain, images), logits(masked, images), 1e-4)
    validation = amc_gym.validate(task, plan)
    assert validation.ok, validation.problems
    return plan, small


def check_onnx(small: nn.Module, task: CompressionTask, folder: Path) -> None:
    """Export to ONNX, and compare logits of one image and of three with the network's."""
    path = folder / "small.onnx"
    amc_gym.export(small, task, path)
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    for n in (1, 3):
        images = task.reward.batch(slice(n))
        (found,) = session.run(None, {name: images.numpy()})
        close(torch.from_numpy(found), logits(small, images), 1e-3)


def close(found: torch.Tensor, wanted: torch.Tensor, share: float) -> None:
    """Assert equality up to a fraction ``share`` of the largest value."""
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= share * float(wanted.abs().max())
