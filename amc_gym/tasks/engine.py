"""Everything about a task that does not depend on an agent's decisions, made once per process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from amc_gym.compression import recovery
from amc_gym.compression.cost import RESOURCES, CostModel
from amc_gym.compression.evaluator import METRICS, PRECISIONS, Evaluator
from amc_gym.compression.folding import fold_norms
from amc_gym.compression.graph import ChannelGraph, trace
from amc_gym.compression.importance import IMPORTANCES, NEEDS_GRAM
from amc_gym.compression.pruner import Pruner
from amc_gym.compression.ranking import rank
from amc_gym.compression.slim import Kept, verify
from amc_gym.compression.statistics import grams
from amc_gym.names import choose
from amc_gym.tasks.task import CompressionTask

CALIBRATION_BATCH = 128


@dataclass(frozen=True)
class EngineOptions:
    """How candidate networks are made and judged.

    Raises:
        ValueError: an unknown name, or a number of reward images below 1.
    """

    importance: str = "magnitude"
    recovery: str = "reconstruct"
    metric: str = "top1"
    reward_images: int | None = None
    precision: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        choose("importance", self.importance, IMPORTANCES, planned=("bn-scale", "taylor"))
        recovery.parse(self.recovery)
        choose("metric", self.metric, METRICS)
        choose("precision", self.precision, PRECISIONS)
        if self.reward_images is not None and self.reward_images < 1:
            raise ValueError(f"reward_images must be at least 1, not {self.reward_images}")


class Engine:
    """Ranks, re-fits and evaluates one task under one set of options.

    Attributes:
        graph: units of decision and layers of the original network.
        costs: resource -> cost model of the original network.
        evaluator: channel counts -> hits on the reward images.
        reward_images: how many those are.
    """

    def __init__(self, task: CompressionTask, options: EngineOptions) -> None:
        if options.reward_images is not None and options.reward_images > len(task.reward):
            raise ValueError(
                f"reward_images={options.reward_images}, but the task has only {len(task.reward)}"
            )
        self.options = options
        self.graph = channel_graph(task)
        self.costs = {resource: CostModel(self.graph, resource) for resource in RESOURCES}
        refits = "reconstruct" in recovery.parse(options.recovery)
        statistics = calibrate(task) if refits or options.importance in NEEDS_GRAM else {}
        folded, folded_graph = fold_norms(task.model, self.graph)
        orders = rank(task.model, self.graph, statistics, options.importance)
        n = self.reward_images = options.reward_images or len(task.reward)
        self.evaluator = Evaluator(
            folded,
            Pruner(folded, folded_graph, orders, statistics if refits else {}),
            task.reward.images[:n],
            task.reward.labels[:n],
            device=_device(options.device),
            precision=options.precision,
        )

    def kept(self, counts: Sequence[int]) -> Kept:
        """Which channels of each unit a plan of these counts keeps."""
        return self.evaluator.pruner.kept(counts)


@lru_cache(maxsize=8)
def engine(task: CompressionTask, options: EngineOptions) -> Engine:
    """The engine of a task, shared by every environment in the process."""
    return Engine(task, options)


@lru_cache(maxsize=8)
def channel_graph(task: CompressionTask) -> ChannelGraph:
    """The verified channel graph of a task's network.

    Raises:
        GraphError: the network cannot be compressed.
    """
    graph = trace(task.model, task.example)
    verify(task.model, graph, task.example)
    return graph


@lru_cache(maxsize=8)
def calibrate(task: CompressionTask) -> dict[str, Tensor]:
    """Gram matrices of a task's layers on its calibration images."""
    images = task.calibration.images
    device = next(task.model.parameters()).device
    batches = (batch.to(device) for batch in images.split(CALIBRATION_BATCH))
    return grams(task.model, channel_graph(task), batches, n_images=len(images))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} is not available: {error}") from error
