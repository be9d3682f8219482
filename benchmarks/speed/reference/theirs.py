"""The authors' code, run from an unchanged clone, on today's PyTorch and without CUDA.

None of it is copied, and no file of the clone is changed.  Whatever keeps it from running here is
replaced from outside, in this process only, with the reason given below.
"""

from __future__ import annotations

import copy
import importlib
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from amc_gym.tasks.split import Split
from amc_gym.zoo.models.mobilenet import CHANNELS, STRIDES, from_published, scaled
from benchmarks.speed.reference.problem import (
    CHANNEL_MULTIPLE,
    MAX_SPARSITY,
    PRESERVE_RATIO,
    Problem,
)

NEEDED = ("env/channel_pruning_env.py", "lib/utils.py", "lib/data.py", "models/mobilenet.py")
POSITIONS_SEED = 0


def check_clone(path: Path) -> None:
    """Check that a folder holds the authors' code.

    Raises:
        ValueError: it does not; the message says how to get the code.
    """
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if missing:
        found = f"{path} has no {missing[0]}" if path.is_dir() else f"{path} is not a folder"
        raise ValueError(
            f"{found}; --reference names a clone of the authors' code: "
            f"git clone https://github.com/mit-han-lab/amc {path}"
        )


class Theirs:
    """The reference's environment on a problem.

    Args:
        problem: network, images and plans.
        clone: folder of the authors' code.
    """

    def __init__(self, problem: Problem, clone: Path) -> None:
        self._problem = problem
        self._pruning, self._mobilenet = _import(clone)
        self._network = self._build()
        self._env: Any = None

    def construct(self) -> dict[str, float]:
        """Build the environment: sample every layer's inputs, and evaluate the original network."""
        scale = self._problem.scale
        options = Namespace(
            model="mobilenet",
            lbound=1 - MAX_SPARSITY,
            rbound=1.0,
            reward="acc_reward",
            acc_metric="acc1",
            use_real_val=False,
            n_calibration_batches=scale.calibration_batches,
            n_points_per_layer=scale.points,
            channel_round=CHANNEL_MULTIPLE,
            data_root=None,
        )
        # Their data come from image files on disk, 3,000 of them for evaluation.  Both splits are
        # replaced by the problem's, in the same order and at the requested batch size.
        self._pruning.get_split_dataset = lambda _data, batch_size, *_, **__: (
            _Loader(self._problem.calibration, batch_size),
            _Loader(self._problem.reward, batch_size),
            scale.classes,
        )
        np.random.seed(POSITIONS_SEED)  # they sample positions by NumPy's global random state
        self._env = _timed(self._pruning.ChannelPruningEnv)(
            self._network,
            copy.deepcopy(self._network.state_dict()),
            "imagenet",
            PRESERVE_RATIO,
            options,
            batch_size=scale.batch_size,
        )
        return {
            "evaluation_s": self._env.evaluation_s,
            "accuracy": self._env.org_acc / 100,
        }

    def episode(self, counts: Sequence[int]) -> dict[str, float]:
        """Play one episode of the plan that keeps ``counts[u]`` channels of unit u."""
        env = self._env
        env.refit_s = env.evaluation_s = 0.0
        env.reset()
        env.step(1.0)  # the first convolution, whose inputs are the image's channels
        info = {}
        for count, channels in zip(counts, env.org_channels[1:], strict=True):
            info = env.step(count / channels)[-1]
        if env.d_prime_list[1:] != list(counts):
            raise RuntimeError(f"the reference executed {env.d_prime_list[1:]}, not {list(counts)}")
        return {
            "refit_s": env.refit_s,
            "evaluation_s": env.evaluation_s,
            "accuracy": info["accuracy"] / 100,
        }

    def samples(self, path: Path) -> dict[str, float]:
        """Write X'X and X'1 of each pruned layer's sampled inputs, on which it re-fits, float64."""
        tensors = {}
        for unit, index in enumerate(self._env.prunable_idx[1:]):
            sampled = torch.from_numpy(self._env.layer_info_dict[index]["input_feat"])
            gram = torch.zeros(sampled.shape[1], sampled.shape[1], dtype=torch.float64)
            for rows in sampled.split(4096):
                gram += rows.double().T @ rows.double()
            tensors[f"gram.{unit}"] = gram
            tensors[f"sum.{unit}"] = sampled.double().sum(0)
        save_file(tensors, path)
        return {}

    def _build(self) -> nn.Module:
        """Build their network with the problem's weights, under their names."""
        scale, theirs = self._problem.scale, self._mobilenet
        network = theirs.MobileNet(scale.classes)
        if scale.width != 1:
            # Their class knows only width 1 and one pruned network; the layers are still its own.
            stem, *outputs = (scaled(channels, scale.width) for channels in (32, *CHANNELS))
            network.conv1 = theirs.conv_bn(3, stem, 2)
            blocks = list(zip(outputs, STRIDES, strict=True))
            network.features = network._make_layers(stem, blocks, theirs.conv_dw)
            network.classifier = nn.Sequential(nn.Linear(outputs[-1], scale.classes))
        names = network.state_dict()
        ours = self._problem.network().state_dict()
        network.load_state_dict(
            {
                name: ours[renamed]
                for name, renamed in zip(names, from_published(names), strict=True)
            }
        )
        return network.eval()


class _Loader:
    """Stand-in for a DataLoader: a split's batches, normalised when they are read."""

    def __init__(self, split: Split, batch_size: int) -> None:
        self._split, self._batch_size = split, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._split.batches(self._batch_size)


def _import(clone: Path) -> tuple[Any, Any]:
    """Import their modules of the environment and of the network."""
    check_clone(clone)
    sys.path.insert(0, str(clone))
    # On import, lib.utils asks `stty` for the terminal's width, and fails without a terminal.
    terminal = SimpleNamespace(read=lambda: "24 80")
    with mock.patch.object(os, "popen", return_value=terminal):
        pruning: Any = importlib.import_module("env.channel_pruning_env")
    # Their code moves every tensor and module to the GPU; here they stay where they are.
    for kind in (Tensor, nn.Module):
        kind.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    # Their accuracy() takes a view of a transposed tensor, which PyTorch has refused since 1.7.
    pruning.accuracy = _accuracy
    return pruning, importlib.import_module("models.mobilenet")


def _accuracy(output: Tensor, target: Tensor, topk: Sequence[int] = (1,)) -> list[Tensor]:
    """Return the percentage of images whose ``target`` is among the best k classes, for each k."""
    best = output.topk(max(topk), dim=1).indices == target[:, None]
    return [best[:, :k].sum() * (100.0 / len(target)) for k in topk]


def _timed(environment: type) -> type:
    """Extend their environment to record how long re-fitting and evaluating took."""

    class Timed(environment):
        refit_s = evaluation_s = 0.0

        def prune_kernel(self, *arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = super().prune_kernel(*arguments, **options)
            self.refit_s += time.perf_counter() - began
            return result

        def _validate(self, *arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = super()._validate(*arguments, **options)
            self.evaluation_s += time.perf_counter() - began
            return result

    return Timed
