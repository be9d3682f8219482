"""What a network costs: MACs and parameters in closed form, as integers.

A convolution with o outputs, i inputs, k x k kernel, g groups and s output positions costs
s k^2 o i / g multiply-accumulates (MACs) and has k^2 o i / g weights.  Only o and i depend on the
plan, and each is a sum of the units' channel counts, so a whole network's cost is one small integer
expression.  Norms, activations and biases cost no MACs here, the convention of the paper's tables;
parameters count everything that is learnable, norms and biases included.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import FIXED, Axis, ChannelGraph, Layer

RESOURCES = ("macs", "params")


class Cost(Protocol):
    """What environments need of a cost model; costs are integers and never decrease in a count."""

    resource: str
    names: tuple[str, ...]
    full: int

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Cost of each layer, (layers,), in execution order."""
        ...

    def total(self, counts: Sequence[int]) -> int:
        """Cost of the whole network."""
        ...

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """The same for several plans at once: (n, units) -> (n,), int64."""
        ...


class CostModel:
    """Cost of the network of ``graph`` in one resource, for any channel counts of its units.

    Args:
        graph: the traced network.
        resource: "macs" or "params".
    """

    def __init__(self, graph: ChannelGraph, resource: str) -> None:
        self.resource = resource
        self.names = tuple(graph.layers)
        coefficients = np.array([_coefficients(layer, resource) for layer in graph.layers.values()])
        # Layers that cost nothing, such as norms in MACs, are left out of the sums.
        self._paid = np.flatnonzero(coefficients.any(1))
        layers = [list(graph.layers.values())[index] for index in self._paid]
        # Floats, because their matrix products are many times faster.  Whole numbers below 2^53
        # (9e15; VGG-16 costs 1.5e10 MACs) are exact in them, and so are their products and sums.
        self._pairs, self._singles = coefficients[self._paid].T.astype(np.float64)
        out_fixed, out = _counts([layer.outputs for layer in layers], len(graph.units))
        in_fixed, read = _counts([layer.inputs for layer in layers], len(graph.units))
        self._fixed = np.concatenate([out_fixed, in_fixed]).astype(np.float64)
        self._axes = np.concatenate([out, read]).T.astype(np.float64, order="C")
        groups = np.array([layer.groups for layer in layers], dtype=np.float64)
        self._groups = groups if (groups > 1).any() else None  # the division is the slowest part
        self.full = self.total(graph.full)
        """Cost of the uncompressed network."""
        assert self.full < 2**53, "a network of this cost cannot be counted in floats"

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Cost of each layer, shape (layers,), int64, in execution order."""
        costs = np.zeros(len(self.names), dtype=np.int64)
        outputs, each = self._factors(counts)
        costs[self._paid] = outputs * each
        return costs

    def total(self, counts: Sequence[int]) -> int:
        """Cost of the whole network whose unit u keeps ``counts[u]`` channels."""
        outputs, each = self._factors(counts)
        return int(outputs @ each)

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Cost of several networks at once: counts (n, units) -> (n,), int64."""
        outputs, each = self._factors(plans)
        return np.einsum("nl,nl->n", outputs, each).astype(np.int64)

    def _factors(self, counts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each layer that costs: its outputs, and what one output costs, (..., layers)."""
        axes = np.asarray(counts, dtype=np.float64) @ self._axes + self._fixed
        outputs, read = axes[..., : len(self._paid)], axes[..., len(self._paid) :]
        if self._groups is not None:
            read = read // self._groups
        return outputs, read * self._pairs + self._singles


def _counts(axes: list[Axis | None], n_units: int) -> tuple[np.ndarray, np.ndarray]:
    """Kept positions of each axis as fixed + matrix @ counts.

    Each channel of a unit holds the same number of positions of an axis (one, or the pixels of a
    flattened map).  A layer without an input axis counts as having one input.
    """
    fixed = np.ones(len(axes), dtype=np.int64)
    matrix = np.zeros((len(axes), n_units), dtype=np.int64)
    for row, axis in enumerate(axes):
        if axis is None:
            continue
        fixed[row] = np.count_nonzero(axis.unit == FIXED)
        for u in axis.units:
            _, repeats = np.unique(axis.channel[axis.unit == u], return_counts=True)
            assert (repeats == repeats[0]).all(), "a unit's channels repeat unevenly on one axis"
            matrix[row, u] = repeats[0]
    return fixed, matrix


def _coefficients(layer: Layer, resource: str) -> tuple[int, int]:
    """(a, b) of a layer's cost = outputs * (a * inputs / groups + b)."""
    if resource == "macs":
        return layer.weights * layer.sites, 0
    if resource == "params":
        return layer.weights, layer.biases
    raise ValueError(f"unknown resource {resource!r}; choose from {', '.join(RESOURCES)}")


def counted_macs(model: nn.Module, example: torch.Tensor) -> int:
    """MACs of a built network for one image, counted by thop on a copy.

    thop leaves buffers on what it profiles, scales with the batch size and counts norms and
    pooling; hence the copy, the single image and the zero hooks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports distutils
        import thop
        from thop.vision.basic_hooks import zero_ops
    free = (nn.BatchNorm1d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d)
    macs = thop.profile(
        copy.deepcopy(model).eval(),
        inputs=(example[:1],),
        custom_ops=dict.fromkeys(free, zero_ops),
        verbose=False,
    )[0]
    return int(macs)


def counted_params(model: nn.Module) -> int:
    """Learnable parameters of a built network, biases and batch norm included."""
    return sum(parameter.numel() for parameter in model.parameters())
