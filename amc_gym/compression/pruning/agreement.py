"""Checks that the network that a search evaluates computes the same as the one handed over.

Folded norms, another memory layout, matrix products instead of convolutions, channels in order of
rank, tensors swapped into one resident network: each is right for most networks and wrong for some.
So each is tried, by comparing outputs, before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import torch
from torch import nn

from amc_gym._utils.nests import Nest, device_of
from amc_gym.compression.evaluation.form import FORMS, Form
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.candidates import SwappedNetwork, TensorSource
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.ranking.order import in_turns
from amc_gym.compression.slim import slim
from amc_gym.compression.tracing.part import at_part
from amc_gym.compression.tracing.verification import same_outputs

TOLERANCE = 1e-3
"""Tolerance as a share of the largest output, in float32, for sums in another order."""


def halves(graph: ChannelGraph) -> tuple[int, ...]:
    """Return counts of a plan that keeps half of each unit, rounded up to whole blocks."""
    return quarters(graph, [2])


def quarters(graph: ChannelGraph, kept: Sequence[int]) -> tuple[int, ...]:
    """Return counts that keep ``kept[i]`` quarters of unit i, cyclically, rounded up likewise."""
    return tuple(
        unit.blocks * -(-unit.channels * quarter // (4 * unit.blocks))
        for unit, quarter in zip(graph.units, cycle(kept), strict=False)
    )


def uneven(graph: ChannelGraph) -> tuple[int, ...]:
    """Return counts just above the half of each unit: no multiples that widths are rounded to."""
    counts = zip(graph.units, halves(graph), strict=True)
    return tuple(min(unit.channels, count + unit.blocks) for unit, count in counts)


def fastest_form(
    model: nn.Module, graph: ChannelGraph, images: Nest, part: str = ""
) -> Form | None:
    """Return the fastest form of slim networks in which they compute the same as in plain form.

    Args:
        model: the original, in eval mode.
        graph: its channel graph.
        images: inputs of a few samples, on the model's device.
        part: name of the module that alone is compressed; "": the whole network.

    Returns:
        The form; ``None`` if networks have to be built anew for each plan.
    """
    rng = np.random.default_rng(0)
    orders = [in_turns(rng.permutation(unit.channels), unit) for unit in graph.units]
    counts = halves(graph)
    kept = tuple(np.sort(order[:n]) for order, n in zip(orders, counts, strict=True))
    expected = outputs_at(slim(model, graph, kept), images, part)
    for form in FORMS:
        folded, folded_graph = form.fold(model, graph)
        pruner = Pruner(folded, folded_graph, orders, {})
        if agrees(folded, pruner, form, counts, images, expected, part=part):
            return form
    return None


def agrees(
    model: nn.Module,
    source: TensorSource,
    form: Form,
    counts: Sequence[int],
    images: Nest,
    expected: object,
    tolerance: float = TOLERANCE,
    part: str = "",
) -> bool:
    """Return whether a candidate network runs and gives the expected outputs.

    Args:
        model: the network of the source.
        source: makes its tensors.
        form: form of the evaluation.
        counts: of the plan.
        images: inputs in float32, on the device to try.
        expected: outputs of the network that is handed over.
        tolerance: as a share of the largest expected output.
        part: name of the module whose outputs they are; "": the network.
    """
    try:
        like = {"device": device_of(images), "dtype": torch.float32}
        candidate = SwappedNetwork(model, source, form=form, **like)
        actual = outputs_at(candidate(counts), form.lay(images), part)
    except Exception:  # the user's forward pass may raise anything
        return False
    return same_outputs(actual, expected, tolerance)


def outputs_at(network: nn.Module, images: Nest, part: str = "") -> object:
    """Return the outputs of a network, or of a part of it."""
    with torch.inference_mode():
        return at_part(network, part, images)[1]
