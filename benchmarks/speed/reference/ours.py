"""Our environment on the same problem, and the reference's re-fit expressed in our terms."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from amc_gym import CompressionTask
from amc_gym.compression.evaluation.batch_size import batch_size
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery import statistics
from amc_gym.compression.slim import slim
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from benchmarks.speed.reference.problem import (
    CHANNEL_MULTIPLE,
    MAX_SPARSITY,
    PRESERVE_RATIO,
    Problem,
)


class Ours:
    """Our environment on a problem.

    Args:
        problem: network, images and plans.
        precision: "float32" or "bf16".
    """

    def __init__(self, problem: Problem, precision: str) -> None:
        self._problem, self._precision = problem, precision
        self._network = problem.network()
        self._env: AMCEnv | None = None

    def construct(self) -> dict[str, float]:
        """Build task and environment: compare splits, trace the network, calibrate the layers."""
        # A constant of the library: the reference's default has proved a good choice.
        statistics.POSITIONS_PER_IMAGE = self._problem.scale.points
        task = CompressionTask(
            self._network, self._problem.calibration, self._problem.reward, self._problem.test
        )
        self._env = make_env(
            task,
            preserve_ratio=PRESERVE_RATIO,
            max_sparsity=MAX_SPARSITY,
            channel_multiple=CHANNEL_MULTIPLE,
            precision=self._precision,
            device="cpu",
        )
        return {}

    def episode(self, counts: Sequence[int]) -> dict[str, float]:
        """Play one episode of the plan that keeps ``counts[u]`` channels of unit u."""
        env = self._env
        assert env is not None
        env.engine.evaluator.forget()  # two plans may be the same
        began, cpu_began = time.perf_counter(), time.process_time()
        _, info = env.execute(counts)
        elapsed, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        # Again, separately: inside the episode, building and evaluating may overlap.
        began = time.perf_counter()
        env.engine.evaluator.network(counts)
        refit_s = time.perf_counter() - began
        return {
            "seconds": elapsed,
            "cpu_s": cpu_s,
            "refit_s": refit_s,
            "evaluation_s": elapsed - refit_s,
            "accuracy": info["accuracy"],
        }

    def agree(self, path: Path) -> dict[str, list[float]]:
        """Return the plans' accuracies when we re-fit on the reference's samples.

        Args:
            path: file written by ``Theirs.samples``.

        Returns:
            "samples", for each plan with our fit, and "classifier", for each plan with the
            reference's fit of the classifier as well.
        """
        assert self._env is not None
        graph, samples = self._env.engine.graph, load_file(path)
        size = batch_size(graph, self._problem.scale.reward_images)

        def accuracy(pruner: Pruner, counts: Sequence[int]) -> float:
            if counts[-1] == graph.full[-1]:
                pruner = fits["samples"]  # the reference leaves a full classifier as it is
            # Without optimizations: norms not folded, a new network with the layers' fits put into
            # it.
            readers = [unit.consumers[0] for unit in graph.units]
            weights = {name: pruner.tensors(counts, name)["weight"] for name in readers}
            network = slim(self._network, graph, pruner.layout(counts), weights)
            return count_hits(network, self._problem.reward.batches(size)).accuracy("top1")

        fits = {
            "samples": refitted(self._network, graph, samples, twice=False),
            "classifier": refitted(self._network, graph, samples, twice=True),
        }
        plans = self._problem.plans
        return {name: [accuracy(fit, counts) for counts in plans] for name, fit in fits.items()}


def refitted(
    network: nn.Module, graph: ChannelGraph, samples: Mapping[str, Tensor], *, twice: bool
) -> Pruner:
    """Return our pruner, re-fitting on the reference's samples.

    The reference fits every layer to its recorded output, which for the classifier includes the
    bias,
    and leaves the bias in the layer, where it is added again.  With X its samples, W0 and b the
    classifier's weight and bias, it solves X_S W = X W0 + 1 b', whose normal equations are those
    of our target X W1 with W1 = W0 + (X'X)^-1 X'1 b'.

    Args:
        network: the original network.
        graph: its channel graph; unit u is read by one layer, the reference's u-th.
        samples: "gram.u" (channels, channels) and "sum.u" (channels,), float64.
        twice: fit the classifier as the reference does, with the bias counted twice.
    """
    grams = {
        unit.consumers[0]: samples[f"gram.{index}"][None] for index, unit in enumerate(graph.units)
    }
    orders = rank(network, graph, {}, "magnitude")
    if twice:
        last = len(graph.units) - 1
        network = copy.deepcopy(network)
        classifier = network.get_submodule(graph.units[last].consumers[0])
        assert isinstance(classifier, nn.Linear)
        gram, total = samples[f"gram.{last}"], samples[f"sum.{last}"]
        # The least that keeps the matrix invertible: the reference adds nothing.
        gram = gram + 1e-9 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        with torch.no_grad():
            moved = torch.outer(classifier.bias.double(), torch.linalg.solve(gram, total))
            classifier.weight.copy_(classifier.weight.double() + moved)
    return Pruner(network, graph, orders, grams)
