"""Verification of a channel graph on the network itself; what fails stays whole.

A rule may be wrong for a network, and a number in the network's code may stand for a number of
channels.  So a slim network with random channels is compared with the masked one, and its counted
cost with the closed form, in float64, before the graph is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
import torch
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import Nest, called, leaves, placed, take
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.graph import ChannelGraph, GraphError, Unit
from amc_gym.compression.slim import Kept, mask, slim
from amc_gym.compression.tracing.assembly import assemble, axes_of
from amc_gym.compression.tracing.in_float64 import InFloat64
from amc_gym.compression.tracing.part import given_to, within
from amc_gym.compression.tracing.record import Operation, Trace
from amc_gym.compression.tracing.repair import Repair
from amc_gym.compression.tracing.replay import first_difference
from amc_gym.compression.tracing.tracer import record, shortened

TOLERANCE = 1e-9
"""Tolerance as a share of the largest output, in float64."""

GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio, whose multiples modulo 1 are spread evenly and far from each other."""

MOST_REPAIRS = 50
"""Limit on the repairs of a graph whose slim network fails."""


class DisagreementError(Exception):
    """Raised when slim and masked network differ.

    Attributes:
        culprit: the operation that causes it, if known.
    """

    def __init__(self, message: str, culprit: Operation | None = None) -> None:
        super().__init__(message)
        self.culprit = culprit


@recorded  # inference mode hides operations from the tracer
def trace(model: nn.Module, example: Nest, part: str = "") -> ChannelGraph:
    """Find and verify the channel graph of a network.

    Units for which slim and masked network differ stay whole and are listed with the reason.

    Args:
        model: in eval mode; not changed.
        example: inputs, such as images (N, C, H, W); the first is traced, and the first few are
            used for verification.
        part: name of the module that alone is traced; "": the whole network.

    Raises:
        GraphError: the network cannot be run, copied or pruned; or a reshape in its code contains a
            number of channels, in which case the message names it.
    """
    if part:
        entering = given_to(model, part, example)
        return within(trace(model.get_submodule(part), entering), part)
    try:
        copied = copy.deepcopy(model).eval()
    except Exception as error:
        raise GraphError(f"{type(model).__name__} cannot be copied: {error}") from error
    found = record(copied, take(example, slice(1)))
    repair = Repair(model, found)
    for _ in range(MOST_REPAIRS):
        graph = assemble(model, found)
        try:
            _agree(model, graph, example, _some_of_all(graph), found)
            return graph
        except DisagreementError as problem:
            if problem.culprit is None or not repair.mend(problem.culprit, axes_of(graph, found)):
                return _without_what_differs(model, example, found, graph)
    raise GraphError(f"{type(model).__name__}: {MOST_REPAIRS} operations hold numbers of channels")


def _without_what_differs(
    model: nn.Module, example: Nest, found: Trace, graph: ChannelGraph
) -> ChannelGraph:
    """Return the graph in which units with a wrong slim network stay whole.

    Units have other numbers afterwards, and so other shares, which may show more that is wrong.
    """
    while wrong := culprits(
        range(len(graph.units)), partial(_problem, model, example, found, graph)
    ):
        for index, reason in wrong.items():
            _fix_unit(found, graph, index, reason)
        graph = assemble(model, found)
    return graph


def _problem(
    model: nn.Module, example: Nest, found: Trace, graph: ChannelGraph, units: Sequence[int]
) -> str:
    """Return why the slim network differs when only these units lose channels; "" if not."""
    kept = [
        some if index in units else np.arange(unit.channels)
        for index, (some, unit) in enumerate(zip(_some_of_all(graph), graph.units, strict=True))
    ]
    try:
        _agree(model, graph, example, tuple(kept), found)
    except DisagreementError as error:
        return str(error)
    return ""


def culprits(units: Sequence[int], problem: Callable[[Sequence[int]], str]) -> dict[int, str]:
    """Find the units with a problem by repeated halving, which takes few runs if they are few.

    Args:
        units: in order.
        problem: returns what is wrong when some units lose channels; "" if nothing.

    Returns:
        Unit -> its problem.  If both halves are right but not both together, the joint problem is
        assigned to each unit of the second half.
    """
    if not (reason := problem(units)):
        return {}
    if len(units) == 1:
        return {units[0]: reason}
    halves = units[: len(units) // 2], units[len(units) // 2 :]
    found = {unit: why for half in halves for unit, why in culprits(half, problem).items()}
    return found or dict.fromkeys(halves[1], reason)


def _fix_unit(found: Trace, graph: ChannelGraph, index: int, reason: str) -> None:
    """Fix a unit, so that it stays whole."""
    for use in found.uses:
        layer = graph.layers[use.layer]
        for axis, labels in ((layer.outputs, use.outputs), (layer.inputs, use.inputs)):
            if axis is not None and labels is not None:
                found.labels.fix(labels[axis.unit == index], reason)


def verify(
    model: nn.Module, graph: ChannelGraph, example: Nest, shares: Sequence[float] | None = None
) -> None:
    """Check that slim and masked network agree on ``example`` in float64, and that costs are right.

    Args:
        model: in eval mode; not changed.
        graph: its channel graph.
        example: inputs, of which all are compared.
        shares: share of each unit's channels that is kept, at random; by default a different share
            for each unit.

    Raises:
        GraphError: they disagree, or the slim network does not run.
    """
    try:
        _agree(model, graph, example, _some_of_all(graph, shares))
    except DisagreementError as problem:
        raise GraphError(str(problem)) from None


def _agree(
    model: nn.Module,
    graph: ChannelGraph,
    example: Nest,
    kept: Kept,
    found: Trace | None = None,
) -> None:
    """Compare the slim network of ``kept`` with the masked one, and its cost with the closed form.

    Raises:
        DisagreementError: they differ; it names the operation that causes it, if the trace tells.
    """
    floats = [tensor.dtype for tensor in leaves(example) if tensor.is_floating_point()]
    precision = floats[0] if floats else torch.float32
    model = copy.deepcopy(model).double()
    example = placed(example, dtype=torch.float64)
    small = slim(model, graph, kept)
    if reason := _difference(model, small, graph, example, kept):
        raise _explained(model, graph, example, kept, found, reason)
    counts = [len(channels) for channels in kept]
    # Recurrent layers, for example, run other operations in float64.
    small, example = small.to(precision), placed(example, dtype=precision)
    for resource in RESOURCES.values():
        counted = resource.count(small, example)
        if counted is not None and counted != (said := resource.of_channels(graph).total(counts)):
            raise DisagreementError(
                f"the {resource.name} of {type(model).__name__} do not follow from its numbers of "
                f"channels: {counted:,} counted, {said:,} expected"
            )


def _difference(
    model: nn.Module, small: nn.Module, graph: ChannelGraph, example: Nest, kept: Kept
) -> str:
    """Return how the slim network fails or differs from the masked one; "" if it does not.

    Where the network's code converts to shorter floats, their rounding may be all that differs, so
    a second comparison does without these conversions.

    Args:
        model: in float64.
        small: its slim network.
        graph: its channel graph.
        example: inputs in float64.
        kept: kept channels of each unit.
    """
    reason = _compared(small, mask(model, graph, kept), example)
    if reason and _converts(model, example):
        again = slim(model, graph, kept), mask(model, graph, kept)
        with InFloat64():
            return _compared(*again, example)
    return reason


def _compared(small: nn.Module, masked: nn.Module, example: Nest) -> str:
    """Return how a slim network fails or differs from the masked one; "" if it does not."""
    try:
        with torch.no_grad():
            actual, expected = called(small, example), called(masked, example)
    except Exception as error:
        return shortened(error) or type(error).__name__  # an assertion may have no message
    return "" if same_outputs(actual, expected, TOLERANCE) else "it computes something else"


def _converts(model: nn.Module, example: Nest) -> bool:
    """Return whether a network in float64 computes something in shorter floats."""
    ran, mode = copy.deepcopy(model), InFloat64()
    with suppress(Exception), torch.no_grad(), mode:
        called(ran, example)
    return mode.converted


def _explained(
    model: nn.Module,
    graph: ChannelGraph,
    example: Nest,
    kept: Kept,
    found: Trace | None,
    error: str,
) -> DisagreementError:
    """Return the error that explains how a slim network differs from the masked one."""
    culprit = None
    if found is not None:
        small = slim(model, graph, kept)  # a network that has run may have stored sizes
        culprit = first_difference(graph, found, small, example, kept)
    if culprit is None:
        return DisagreementError(
            "slimming changes what the network computes, in a way that the tracer does not see "
            f"({error})"
        )
    return DisagreementError(f"{culprit} holds a number of channels", culprit)


def same_outputs(actual: object, expected: object, tolerance: float) -> bool:
    """Return whether outputs are equal up to a share of the largest value; NaN never is."""
    ours, theirs = leaves(actual), leaves(expected)
    if len(ours) != len(theirs):
        return False
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape:
            return False
        if not one.numel():
            continue
        if not (other.is_floating_point() or other.is_complex()):
            if not torch.equal(one, other):
                return False
            continue
        scale = float(other.abs().max()) or 1.0
        if not float((one - other).abs().max()) <= tolerance * scale:
            return False
    return True


def _some_of_all(graph: ChannelGraph, shares: Sequence[float] | None = None) -> Kept:
    """Return random channels of each unit: a pattern could miss channels coupled at an offset.

    By default each unit keeps a different share, because with equal shares a network in which two
    units have to keep equally many channels would pass.
    """
    rng = np.random.default_rng(0)
    if shares is None:
        shares = [0.35 + 0.4 * (index * GOLDEN % 1) for index in range(len(graph.units))]
    return tuple(
        _random_part(unit, share, rng) for unit, share in zip(graph.units, shares, strict=True)
    )


def _random_part(unit: Unit, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a share of the channels of each block of a unit, in random order.

    Rounded up, but never all of them: a unit that is whole is not verified.
    """
    blocks = np.arange(unit.channels).reshape(unit.blocks, -1)
    count = min(int(np.ceil(share * blocks.shape[1])), blocks.shape[1] - 1)
    chosen = rng.permuted(blocks, axis=1)[:, :count].reshape(-1)
    return chosen if unit.blocks == 1 else np.sort(chosen)
