"""Plan -> accuracy: one forward pass of the small network over images that stay in memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pointwise import with_pointwise
from amc_gym.compression.pruner import Pruner

METRICS = {"top1": 1, "top5": 5}
"""Metric -> among how many best classes the label has to be."""

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}

BATCH_BYTES = 32 * 2**20
"""Activations of the uncompressed network's widest layer, in and out, that one batch may hold."""


def batch_size(graph: ChannelGraph, n_images: int) -> int:
    """Images per batch such that activations stay within ``BATCH_BYTES``, a cache's worth.

    A rule rather than a timing: with the batch the rounding of sums changes, and the same seed
    has to give the same rewards, bit for bit, on a busy machine as on an idle one.
    """
    widest = max(
        len(layer.outputs) * layer.sites
        + len(layer.inputs or layer.outputs) * layer.height * layer.width
        for layer in graph.layers.values()
    )
    return max(1, min(n_images, BATCH_BYTES // (4 * widest)))


@dataclass(frozen=True)
class Hits:
    """How many of ``images`` a network classifies correctly."""

    top1: int
    top5: int
    images: int

    def accuracy(self, metric: str) -> float:
        """Share in [0, 1] under "top1" or "top5"."""
        return (self.top1 if metric == "top1" else self.top5) / self.images


def count_hits(network: nn.Module, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Hits:
    """Run ``network`` over (images, labels) batches and count the hits."""
    top1 = top5 = images = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            logits = network(inputs)
            best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            top1 += int(best[:, 0].sum())
            top5 += int(best.sum())
            images += len(labels)
    return Hits(top1, top5, images)


class Evaluator:
    """Evaluates channel counts on resident images, each plan once.

    One network is built; a plan's tensors are swapped into its modules.  What an evaluation costs
    beyond the forward pass is index selection and, for channel counts not seen before, one small
    matrix product for each layer.

    Args:
        model: the network of ``pruner``, norms folded where they can be, in eval mode.
        pruner: gives each layer's tensors.
        images: (N, C, H, W) reward images.
        labels: (N,) int64.
        device: where to run.
        precision: "float32" or "bf16".
    """

    def __init__(
        self,
        model: nn.Module,
        pruner: Pruner,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        device: torch.device,
        precision: str = "float32",
    ) -> None:
        dtype = PRECISIONS[precision]
        self.pruner = pruner
        self._like = {"device": device, "dtype": dtype}
        self._network = with_pointwise(
            copy.deepcopy(model).to(**self._like, memory_format=torch.channels_last)
        )
        self._modules = [
            (layer, self._network.get_submodule(layer.name))
            for layer in pruner.graph.layers.values()
        ]
        size = batch_size(pruner.graph, len(images))
        self.batches = [
            (
                batch.to(**self._like).contiguous(memory_format=torch.channels_last),
                of.to(device),
            )
            for batch, of in zip(images.split(size), labels.split(size), strict=True)
        ]
        self._remembered: dict[tuple[int, ...], Hits] = {}

    def __call__(self, counts: Sequence[int]) -> Hits:
        """Hits of the plan that keeps ``counts[u]`` channels of unit u."""
        key = tuple(counts)
        if key not in self._remembered:
            self._remembered[key] = count_hits(self.network(key), self.batches)
        return self._remembered[key]

    def network(self, counts: Sequence[int]) -> nn.Module:
        """The evaluator's own network, set to a plan; valid until the next call."""
        for layer, module in self._modules:
            tensors = self.pruner.tensors(counts, layer.name)
            for name, tensor in tensors.items():
                # The dictionaries directly: torch's own attribute checks would cost more than
                # the selection itself.
                slots = module._parameters if name in module._parameters else module._buffers
                slots[name] = tensor.to(**self._like)  # type: ignore[assignment]
            if layer.kind == "depthwise":
                module.groups = len(tensors["weight"])  # type: ignore[assignment]
        for remap in self.pruner.graph.remaps:
            remap.slim(self._network, self.pruner.kept(counts))
        return self._network

    def forget(self) -> None:
        """Forget the remembered plans, so that the next evaluations are measured afresh."""
        self._remembered.clear()

    @property
    def distinct(self) -> int:
        """How many distinct plans are remembered."""
        return len(self._remembered)
