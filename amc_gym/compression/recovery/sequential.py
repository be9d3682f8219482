"""Sequential reconstruction: each layer is re-fitted on the outputs of the pruned layers before it.

Works layer by layer in execution order, with X the unfolded inputs in the original network and X~
those in the slim one, whose earlier layers are already re-fitted:

    W = argmin |X~ W - X W0|^2 + ridge |W - W_kept|^2
      = (X~'X~ + ridge I)^-1 (X~' Y + ridge W_kept),   Y = X W0

It starts with the weights of ``reconstruct`` and costs a pass over the images for each plan: a
layer is fitted as soon as its inputs arrive, and its outputs, on which the next layer is fitted,
are computed with the new weights.  How far weights move is chosen on held-out images (`fitting`),
for each layer and for the network as a whole.  Then the outputs' original mean and deviation are
restored (`moments`).

The nonlinear variant also has an offset for each output, compensates the errors of what the output
is added to (`shortcuts`), and fits what comes after a ReLU (`behind_relu`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called, leaves
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.recovery.behind_relu import OutputTransform, add_offset, affine, has_offset
from amc_gym.compression.recovery.fitting import Problem, best_fit
from amc_gym.compression.recovery.fitting_on_device import best_fit_on_device
from amc_gym.compression.recovery.moments import restored
from amc_gym.compression.recovery.reconstruction import Reconstruct, as_matrix, as_weight
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.recovery.targets import Rows, Targets, grouped, groups_of
from amc_gym.compression.slim import Kept


@register
@dataclass(frozen=True)
class Sequential(Recovery):
    """Fit each layer on its actual inputs, from the pruned layers before it."""

    name = "sequential"
    summary = "least squares on the actual outputs of the pruned layers before"
    order = 20
    needs = frozenset({"grams", "targets"})
    nonlinear: ClassVar[bool] = False

    def weights(self, kept: Kept, calibration: Calibration) -> Mapping[str, torch.Tensor]:
        """Return the initial weights, which are those of ``reconstruct``."""
        return Reconstruct().weights(kept, calibration)

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Re-fit the layers of ``network``, in execution order.

        The result is used only if its outputs on held-out images are nearer to the original ones
        than those of the recovery that it builds on.
        """
        assert kept is not None
        targets = calibration.targets
        fitted = copy.deepcopy(network)
        refit_sequentially(fitted, calibration.graph, kept, targets, nonlinear=self.nonlinear)
        unseen = targets.held_out
        before, after = (distance(each, unseen, targets.answers) for each in (network, fitted))
        return network if after > before else fitted


@register
@dataclass(frozen=True)
class Nonlinear(Sequential):
    """Fit as ``Sequential``, with offsets, compensating shortcuts, and behind ReLUs."""

    name = "nonlinear"
    summary = "sequential with offsets, compensating shortcuts, fitted behind ReLUs"
    order = 30
    nonlinear = True


def refit_sequentially(
    network: nn.Module, graph: ChannelGraph, kept: Kept, targets: Targets, *, nonlinear: bool
) -> None:
    """Re-fit the layers of a slim network in place, in execution order.

    Args:
        network: the slim network of ``kept``, in eval mode.
        graph: the channel graph of the original network.
        kept: kept channels of each unit.
        targets: the original outputs.
        nonlinear: whether to fit offsets, shortcuts, and values after ReLUs.
    """

    def fit(layer: Layer, rows: Rows, module: nn.Module) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        groups = groups_of(module)
        outputs = torch.from_numpy(layer.outputs.kept(kept)).to(rows.inputs.device)

        def of_kept(full: torch.Tensor) -> torch.Tensor:
            return grouped(full.transpose(0, 1).flatten(1)[:, outputs], groups)

        norm = None if layer.norm is None else network.get_submodule(layer.norm)
        problem = Problem(rows.inputs, of_kept(targets.outputs[layer.name]))
        if nonlinear and has_offset(module, norm):
            scale, shift = affine(module, norm, groups)
            ceiling, end, original = layer.ceiling, shift, shift
            if rows.added is not None:
                ceiling = targets.shortcuts[layer.name].ceiling
                end = shift + rows.added
                original = shift + of_kept(targets.added[layer.name])
            behind = OutputTransform(scale, end, ceiling, aims=scale * problem.wanted + original)
            problem = replace(problem, behind=behind)
        start = as_matrix(weight, groups).to(rows.inputs)
        fit_layer = best_fit if start.device.type == "cpu" else best_fit_on_device
        found = fit_layer(problem, start, rows.fitted)
        if found is None:
            return
        if has_offset(module, norm):
            chosen = slice(rows.fitted)
            found = restored(found, rows.inputs[:, chosen], problem.wanted[:, chosen])
            add_offset(module, norm, found.offset.flatten())
        weight.data.copy_(as_weight(found.weights, weight))

    targets.visit(network, fit)


def distance(network: nn.Module, batches: Sequence[Nest], answers: Sequence[Nest]) -> float:
    """Return the sum of squared differences between a network's outputs and given answers.

    Args:
        network: in eval mode.
        batches: inputs.
        answers: expected outputs for each batch.

    Returns:
        The sum over all tensors of floats; nan if the shapes differ.
    """
    total = 0.0
    with torch.inference_mode():
        for images, answer in zip(batches, answers, strict=True):
            found, expected = leaves(called(network, images)), leaves(answer)
            if [t.shape for t in found] != [t.shape for t in expected]:
                return float("nan")
            total += sum(
                float((one - another).square().sum(dtype=torch.float64))
                for one, another in zip(found, expected, strict=True)
                if one.is_floating_point()
            )
    return total
