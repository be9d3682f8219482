"""One network of full width that stays on its device; a plan writes zeros and weights into it.

A slim network has new shapes with every plan.  On a GPU the libraries prepare each of them anew,
which takes longer than to compute with them.  Here no layer reads a pruned channel instead: the
columns of its weight are zero, the others as a slim network has them.  So it computes what the slim
network computes, up to rounding, in shapes that never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym._utils.cuda_graph import Recorded
from amc_gym._utils.grad_mode import recorded
from amc_gym.compression.channel_map import NOWHERE
from amc_gym.compression.evaluation.captured import Captured
from amc_gym.compression.evaluation.form import Form
from amc_gym.compression.evaluation.stored import Normalised, as_bytes
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.candidates import SwappedNetwork
from amc_gym.compression.pruning.full_width import FullWidth
from amc_gym.compression.pruning.pruner import Pruner

QUEUED = 64
"""Plans that a GPU may be given before the first one's result is waited for."""

ALWAYS = torch.iinfo(torch.int64).max
"""Count of what is never pruned."""


class ResidentNetwork:
    """A network of full width into which plans are written, on its device and in its precision.

    A plan is one small transfer; the weights are made on the device, in float32 or better, and
    nothing waits for it.

    Args:
        model: the network of ``pruner``, in eval mode; its norms may have been folded.
        pruner: gives each layer's weights.
        device: where to run.
        dtype: of weights.
        form: how it is laid out.
        images: bytes that it will be given, or anything else where it is given floats.

    Attributes:
        overlap: see ``NetworkSource``; on a GPU work is done in the order in which it is asked for.

    Raises:
        ValueError: a network of full width cannot stand for slim ones; the message says why.
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
    ) -> None:
        graph = pruner.graph
        _check(model, graph)
        network = SwappedNetwork(model, pruner, form=form, device=device, dtype=dtype)(graph.full)
        _own(network, form)
        self._counts = torch.tensor([*graph.full, ALWAYS], device=device)
        self._writers: list[_Weight | _Map] = []
        places = []
        for name, layer in graph.layers.items():
            if layer.inputs is not None and layer.inputs.units:
                weight = _tensor(network, name, "weight")
                made = pruner.full_width(name, device)
                self._writers.append(_Weight(weight, made, layer.groups))
                places.append([each.repeat(layer.weights) for each in pruner.places(layer.inputs)])
        for remap in graph.remaps:
            source = _tensor(network, remap.name, "source")
            self._writers.append(_Map(source, source.clone()))
            places.append(pruner.places(remap.inputs))
        self._sizes = [len(units) for units, _ in places]
        units, ranks = (np.concatenate(each) for each in zip(*places, strict=True))
        self._units, self._ranks = (torch.from_numpy(each).to(device) for each in (units, ranks))
        self.overlap = QUEUED if device.type == "cuda" else 1
        if (stored := as_bytes(images)) is not None:
            network = Normalised(network, stored, device, dtype)
        self._network = Captured(network)
        self._write = Recorded(self._written, device)

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """Return the network set to a plan; passes that are asked for next are of that plan."""
        told = torch.tensor(counts, pin_memory=self._counts.is_cuda)  # or the copy would wait
        self._counts[:-1].copy_(told, non_blocking=True)
        self._write()
        return self._network

    def _written(self) -> None:
        """Write the weights of the counts that are on the device."""
        with torch.no_grad():
            # The last count is that of FIXED, which is -1.
            kept = (self._counts[self._units] > self._ranks).split(self._sizes)
            for write, mine in zip(self._writers, kept, strict=True):
                write(mine)


@dataclass(frozen=True)
class _Weight:
    """Writes one layer's weight.

    Attributes:
        tensor: of the network, written to.
        made: the weight by which columns stay.
        groups: of the convolution.
    """

    tensor: Tensor
    made: FullWidth
    groups: int

    def __call__(self, kept: Tensor) -> None:
        self.tensor.copy_(self.made(kept.reshape(self.groups, -1)))


@dataclass(frozen=True)
class _Map:
    """Writes where one map takes its channels from: pruned ones come from nowhere.

    Attributes:
        tensor: of the network, written to.
        source: of the full network.
    """

    tensor: Tensor
    source: Tensor

    def __call__(self, kept: Tensor) -> None:
        self.tensor.copy_(torch.where(kept[self.source], self.source, NOWHERE))


def _own(network: nn.Module, form: Form) -> None:
    """Give a network tensors of its own, laid out as its form says, in place."""
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


def _check(model: nn.Module, graph: ChannelGraph) -> None:
    """Refuse networks in which channels are read other than by the weights of layers.

    Raises:
        ValueError: the message names what reads them.
    """
    for product in graph.products:
        if product.outputs.units or (product.inputs is not None and product.inputs.units):
            raise ValueError(f"{product.name!r} multiplies channels without a layer")
    for unit in graph.multiplied:
        raise ValueError(f"channels of unit {graph.units[unit].name!r} are summed over by no layer")
    for parameter in graph.parameters:
        name = parameter.owners[0][0]
        norm = model.get_submodule(name)
        if parameter.units and isinstance(norm, nn.LayerNorm | nn.RMSNorm):
            raise ValueError(f"norm {name!r} takes its statistics over channels that are pruned")
