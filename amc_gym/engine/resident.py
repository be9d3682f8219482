"""Evaluation on a resident network, and the check that a task allows it.

A resident network has full width and stays on its device.

| evaluation | networks                                                                        |
|------------|---------------------------------------------------------------------------------|
| "slim"     | small ones, with new shapes for every plan: least computation                   |
| "resident" | one of full width, into which plans are written: always the same shapes         |
| "auto"     | "resident" on CUDA devices, where new shapes take longest, "slim" on all others |
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import nn

from amc_gym._utils.nests import placed
from amc_gym.compression.evaluation.evaluator import Evaluator
from amc_gym.compression.evaluation.form import Form
from amc_gym.compression.evaluation.scoring import split
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning import Pruning
from amc_gym.compression.pruning.agreement import halves, outputs_at, quarters
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.resident import ResidentNetwork
from amc_gym.compression.tracing.verification import same_outputs
from amc_gym.engine.analysis import Analysis

logger = logging.getLogger(__name__)

TOLERANCES = {torch.float32: 1e-2, torch.bfloat16: 1e-1}
"""Largest difference between a resident and a slim network, as a share of the largest output.

In float32 two solutions of a least-squares problem differ, and GPUs multiply with ten-bit
mantissas; bf16 has eight bits, some of which are lost in each layer.
"""

TOGETHER = TOLERANCES | {torch.float32: 1e-3}
"""Largest difference of a plan in one pass with others, due to another order of summation."""

LOST = 0.02
"""Largest change of a plan's score by half precision."""


def resident_network(
    analysis: Analysis,
    pruning: Pruning,
    folded: nn.Module,
    pruner: Pruner,
    form: Form | None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    plans_per_pass: int = 1,
) -> ResidentNetwork:
    """Return the resident network of a task, checked against slim networks on a few images.

    Several plans in one pass are checked against each plan by itself; if that fails, the network
    evaluates one plan at a time and says why.

    Args:
        analysis: of the task.
        pruning: builds the slim networks.
        folded: the folded network that ``pruner`` prunes.
        pruner: computes its weights.
        form: form of the evaluated networks; ``None`` if each has to be built.
        device: device to run on.
        dtype: of its weights.
        plans_per_pass: most plans in one pass.

    Raises:
        ValueError: the task cannot be evaluated this way; the message says why.
    """
    if form is None:
        raise ValueError("its networks have to be built for each plan")
    if analysis.task.part:
        raise ValueError("a part of it alone is compressed")
    like = {"device": device, "dtype": dtype}
    network = ResidentNetwork(
        folded,
        pruner,
        form=form,
        images=analysis.task.reward,
        plans_per_pass=plans_per_pass,
        **like,
    )
    images = form.lay(placed(analysis.few, **like))
    network(quarters(analysis.graph, [3, 1]))  # the next plan has to overwrite these weights
    counts = halves(analysis.graph)
    expected = outputs_at(pruning.build(counts), analysis.few)
    if not _same(network, counts, images, expected, TOLERANCES[dtype]):
        raise ValueError("with zeros for pruned channels it computes something else")
    if plans_per_pass > 1 and (
        why := _not_together(network, analysis.graph, images, TOGETHER[dtype])
    ):
        network.alone(why)
        name = type(analysis.task.model).__name__
        logger.warning("%s is evaluated one plan at a time: %s", name, why)
    return network


def score_alike(exact: Evaluator, low: Evaluator, graph: ChannelGraph) -> bool:
    """Return whether a few plans, large and small, score the same with two evaluators.

    Args:
        exact: evaluates in float32.
        low: evaluates in another precision.
        graph: of the network.
    """
    plans = [quarters(graph, kept) for kept in ([4], [3], [2], [1], [4, 2], [2, 4])]
    pairs = zip(exact.many(plans), low.many(plans), strict=True)
    alike = all(abs(one.score - other.score) <= LOST for one, other in pairs)
    exact.forget()  # no search has asked for these plans
    low.forget()
    return alike


def _not_together(
    network: ResidentNetwork, graph: ChannelGraph, images: object, tolerance: float
) -> str:
    """Return why two plans cannot be evaluated in one pass; "" if they can."""
    plans = [quarters(graph, kept) for kept in ([3, 1], [2, 4])]
    alone = [outputs_at(network(each), images) for each in plans]
    try:
        both = split(outputs_at(network.several(plans), images), len(plans))
    except Exception as error:  # the user's forward pass may raise anything
        return str(error) or type(error).__name__
    if all(same_outputs(*each, tolerance) for each in zip(both, alone, strict=True)):
        return ""
    return "in one pass with others it computes something else"


def _same(
    network: ResidentNetwork,
    counts: Sequence[int],
    images: object,
    expected: object,
    tolerance: float,
) -> bool:
    try:
        actual = outputs_at(network(counts), images)
    except Exception:  # the user's forward pass may raise anything
        return False
    there = torch.device("cpu")
    ours, theirs = (placed(each, there, torch.float32) for each in (actual, expected))
    return same_outputs(ours, theirs, tolerance)
