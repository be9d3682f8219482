"""A network of full width that stays on its device; plans are written into it.

A slim network has new shapes with every plan.  On a GPU the libraries prepare each of them anew,
which takes longer than the computation.  In the resident network no layer reads a pruned channel
instead: those columns of its weight are zero, and the others are as in the slim network.  So it
computes the same as the slim network, up to rounding, in shapes that never change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym._utils.cuda_graph import Recorded
from amc_gym._utils.grad_mode import recorded
from amc_gym.compression.channel_map import NOWHERE
from amc_gym.compression.evaluation.captured import Captured
from amc_gym.compression.evaluation.form import Form
from amc_gym.compression.evaluation.stored import Normalised, as_bytes
from amc_gym.compression.pruning.batched_layers import BatchedNetwork
from amc_gym.compression.pruning.candidates import SwappedNetwork
from amc_gym.compression.pruning.full_width import FullWidth
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.readers import check_readers

QUEUED = 64
"""Plans that are queued on a GPU before the first result is waited for."""

ALWAYS = torch.iinfo(torch.int64).max
"""Count that stands for positions that are never pruned."""


class ResidentNetwork:
    """A network of full width into which plans are written, on its device and in its precision.

    A plan is one small transfer; its weights are made on the device, in float32 or better, and
    nothing waits for it.  Several plans can be evaluated in one pass, see ``several``.

    Args:
        model: the network of ``pruner``, in eval mode; its norms may have been folded.
        pruner: makes each layer's weights.
        device: device to run on.
        dtype: of the weights.
        form: its memory layout and layers.
        images: the inputs: bytes to be normalised on the device, or anything else for floats.
        plans_per_pass: most plans in one pass.

    Attributes:
        overlap: see ``NetworkSource``; a GPU works in the order in which it is asked.
        plans_per_pass: number of plans in one pass.
        why_single: why it evaluates one plan at a time although several were asked for.

    Raises:
        ValueError: a network of full width cannot replace slim ones; the message says why.
    """

    @recorded
    def __init__(
        self,
        model: nn.Module,
        pruner: Pruner,
        *,
        device: torch.device,
        dtype: torch.dtype,
        form: Form = Form(),  # noqa: B008  # frozen
        images: object = None,
        plans_per_pass: int = 1,
    ) -> None:
        graph = pruner.graph
        check_readers(model, graph)
        network = SwappedNetwork(model, pruner, form=form, device=device, dtype=dtype)(graph.full)
        _own(network, form)
        self._network, self._full, self._device = network, graph.full, device
        self._like = {"device": device, "dtype": dtype}
        self._stored = as_bytes(images)
        self._written = _Written(network, pruner, device)
        self.plans_per_pass, self.why_single = plans_per_pass, ""
        self._passes = {1: self._pass(1)}

    @property
    def overlap(self) -> int:
        """Number of plans that may be under way, see ``NetworkSource``."""
        return (
            max(QUEUED, 2 * self.plans_per_pass)
            if self._device.type == "cuda"
            else self.plans_per_pass
        )

    def alone(self, why: str) -> None:
        """Evaluate one plan at a time from now on."""
        self.plans_per_pass, self.why_single = 1, why

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """Return the network set to a plan, which the following passes then evaluate."""
        return self.several([counts])

    def several(self, plans: Sequence[Sequence[int]]) -> nn.Module:
        """Return a network that evaluates all of the plans, the first one's outputs first.

        Raises:
            ValueError: a layer supports only one plan at a time.
        """
        n = len(plans)
        if n not in self._passes:
            self._passes[n] = self._pass(n)
        return self._passes[n](plans)

    @recorded
    def _pass(self, plans: int) -> _Pass:
        network = self._network
        if plans > 1:
            network = BatchedNetwork(network, self._written.modules, plans)
        inner = network.network if isinstance(network, BatchedNetwork) else network
        tensors = [_tensor(inner, name, kind) for name, kind in self._written.tensors]
        if self._stored is not None:
            network = Normalised(network, self._stored, **self._like)
        return _Pass(network, tensors, self._written, [self._full] * plans)


class _Pass:
    """A network together with the plans that are written into it.

    Args:
        network: evaluates the plans.
        tensors: tensors of it that are written to, with a leading dimension of plans if there are
            several.
        written: computes their values.
        plans: the first plans.
    """

    def __init__(
        self,
        network: nn.Module,
        tensors: Sequence[Tensor],
        written: _Written,
        plans: Sequence[Sequence[int]],
    ) -> None:
        self._tensors, self._written = tensors, written
        self._counts = torch.tensor(_rows(plans), device=written.device)
        self._network = Captured(network)
        self._write = Recorded(self._write_all, written.device)

    def __call__(self, plans: Sequence[Sequence[int]]) -> nn.Module:
        """Return the network set to the given plans, as many as it has."""
        rows = torch.tensor(_rows(plans), pin_memory=self._counts.is_cuda)  # so as not to wait
        self._counts.copy_(rows, non_blocking=True)
        self._write()
        return self._network

    def _write_all(self) -> None:
        """Write the tensors for the counts that are on the device."""
        with torch.no_grad():
            for tensor, made in zip(self._tensors, self._written(self._counts), strict=True):
                tensor.copy_(made)


def _rows(plans: Sequence[Sequence[int]]) -> list[Any]:
    """Return rows of counts, with a last one for ``FIXED`` (-1); a single row for one plan."""
    rows = [[*counts, ALWAYS] for counts in plans]
    return rows[0] if len(rows) == 1 else rows


class _Written:
    """The tensors of a network that depend on the plan, computed on its device.

    Args:
        network: of full width.
        pruner: makes each layer's weights.
        device: device of the network.

    Attributes:
        tensors: module and name of each tensor.
        modules: names of their modules.
    """

    def __init__(self, network: nn.Module, pruner: Pruner, device: torch.device) -> None:
        self.device = device
        self.tensors: list[tuple[str, str]] = []
        self._made: list[_Weight | _Map] = []
        places = []
        for name, layer in pruner.graph.layers.items():
            if layer.inputs is not None and layer.inputs.units:
                self.tensors.append((name, "weight"))
                self._made.append(_Weight(pruner.full_width(name, device), layer.groups))
                places.append([each.repeat(layer.weights) for each in pruner.places(layer.inputs)])
        for remap in pruner.graph.remaps:
            self.tensors.append((remap.name, "source"))
            self._made.append(_Map(_tensor(network, remap.name, "source").clone()))
            places.append(pruner.places(remap.inputs))
        self.modules = [name for name, _ in self.tensors]
        self._sizes = [len(units) for units, _ in places]
        units, ranks = (np.concatenate(each) for each in zip(*places, strict=True))
        self._units, self._ranks = (torch.from_numpy(each).to(device) for each in (units, ranks))

    def __call__(self, counts: Tensor) -> Iterator[Tensor]:
        """Yield the tensors for counts (units + 1,), or for P plans (P, units + 1), in order."""
        kept = (counts[..., self._units] > self._ranks).split(self._sizes, -1)
        return (make(mine) for make, mine in zip(self._made, kept, strict=True))


@dataclass(frozen=True)
class _Weight:
    """The weight of one layer as a function of the counts.

    Attributes:
        made: computes the weight from the kept columns.
        groups: of the convolution.
    """

    made: FullWidth
    groups: int

    def __call__(self, kept: Tensor) -> Tensor:
        return self.made(kept.reshape(*kept.shape[:-1], self.groups, -1))


@dataclass(frozen=True)
class _Map:
    """The sources of one channel map as a function of the counts; pruned channels have none.

    Attributes:
        source: the sources in the full network.
    """

    source: Tensor

    def __call__(self, kept: Tensor) -> Tensor:
        return torch.where(kept[..., self.source], self.source, NOWHERE)


def _own(network: nn.Module, form: Form) -> None:
    """Give a network its own copies of tensors, in the memory layout of its form, in place."""
    for module in network.modules():
        for slots in (module._parameters, module._buffers):
            for name, tensor in slots.items():
                if tensor is not None:
                    last = form.channels_last and tensor.dim() == 4
                    layout = torch.channels_last if last else torch.contiguous_format
                    slots[name] = tensor.detach().clone(memory_format=layout)  # type: ignore[assignment]


def _tensor(network: nn.Module, module: str, name: str) -> Tensor:
    tensor = getattr(network.get_submodule(module), name)
    assert isinstance(tensor, Tensor)
    return tensor
