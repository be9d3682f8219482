"""Ablation: the error of a network's outputs when a single unit keeps few of its channels.

Errors of layers (`Engine.errors`) are known where a unit is read.  Their effect on the network's
outputs is measured here: each unit in turn keeps a share of its channels while all others stay
full, and the outputs on some calibration images are compared with the full network's.  Neither
targets nor reward images are used, and the result serves every budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from amc_gym._utils.nests import Nest, leaves
from amc_gym.compression.evaluation.evaluator import NetworkSource
from amc_gym.compression.pruning.agreement import outputs_at

SHARES = (0.125, 0.25, 0.5, 0.75)
"""Shares of its channels that the ablated unit keeps."""

IMAGES = 128
"""Most calibration images whose outputs are compared."""


def ablations(
    network: NetworkSource,
    full: Sequence[int],
    batches: Iterable[tuple[Nest, Nest]],
    part: str = "",
) -> np.ndarray:
    """Measure relative squared errors of the outputs when each unit alone is pruned.

    The error is the squared difference of the outputs as a share of their variance over the
    samples, averaged over the output tensors if there are several.

    Args:
        network: function from counts to the network that keeps them.
        full: counts of the original network, (T,).
        batches: inputs and targets of some calibration samples.
        part: name of the module whose outputs are compared; "": the network.

    Returns:
        Errors at ``SHARES``, (T, shares) float64.

    Raises:
        ValueError: outputs cannot be compared because plans change their number.
    """
    inputs = [each for each, _ in batches]

    def outputs(counts: Sequence[int]) -> list[list[Tensor]]:
        ready = network(tuple(counts))
        return [leaves(outputs_at(ready, each, part)) for each in inputs]

    expected = outputs(full)
    variance = _variances(expected)
    errors = np.empty((len(full), len(SHARES)))
    for unit, channels in enumerate(full):
        for place, share in enumerate(SHARES):
            counts = list(full)
            counts[unit] = max(round(share * channels), 1)
            errors[unit, place] = _error(outputs(counts), expected, variance)
    return errors


def curves(measured: np.ndarray, full: Sequence[int]) -> list[np.ndarray]:
    """Return the errors of the outputs when a unit keeps 0, 1, ... channels, (channels + 1,) each.

    They are interpolated linearly between the measured shares and made non-increasing; the error
    without any channel is one and a half times that of the smallest share.

    Args:
        measured: what ``ablations`` returns, (T, shares).
        full: counts of the original network, (T,).
    """
    places = [0.0, *SHARES, 1.0]
    ends = np.hstack([1.5 * measured[:, :1], measured, 0 * measured[:, :1]])
    falling = np.maximum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    return [
        np.interp(np.arange(channels + 1) / channels, places, curve)
        for channels, curve in zip(full, falling, strict=True)
    ]


def _variances(batches: list[list[Tensor]]) -> list[float]:
    """Return the summed squared deviations from the mean over samples, for each output tensor."""
    found = []
    for tensors in zip(*batches, strict=True):
        if len({tensor.shape[1:] for tensor in tensors}) > 1:
            raise _incomparable()
        whole = torch.cat([tensor.double() for tensor in tensors])
        found.append(float((whole - whole.mean(0)).square().sum()))
    return found


def _error(
    actual: list[list[Tensor]], expected: list[list[Tensor]], variance: list[float]
) -> float:
    lost = np.zeros(len(variance))
    for mine, theirs in zip(actual, expected, strict=True):
        if [each.shape for each in mine] != [each.shape for each in theirs]:
            raise _incomparable()
        pairs = zip(mine, theirs, strict=True)
        lost += [float((a.double() - b.double()).square().sum()) for a, b in pairs]
    return float(np.mean(lost / np.maximum(variance, np.finfo(float).tiny)))


def _incomparable() -> ValueError:
    return ValueError(
        "outputs of pruned networks cannot be compared with the full network's, because plans "
        "change their number: name a part of the network whose outputs are tensors of one shape "
        "(part=...)"
    )
