"""Layers with the weights of several plans, so that one pass evaluates all of them.

A batch holds the samples of the first plan, then those of the second, and so on, equally many for
each.  To most layers these are just more samples; layers that plans are written into are replaced
by ones that apply each plan's weight to its own samples.  Small networks gain by this on a GPU:
64 plans need as many kernel launches as one, each with 64 times the work.

| layer                | with the weights of P plans                                        |
|----------------------|--------------------------------------------------------------------|
| linear, 1 x 1        | one batched matrix product                                         |
| depthwise, norms     | unchanged: no plan is written into them                            |
| other convolutions   | P convolutions in turn, each with a shape that never changes       |
| channel maps         | P selections in turn                                               |
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from amc_gym._utils.nests import Nest, called, joined
from amc_gym.compression.channel_map import ChannelMap
from amc_gym.compression.evaluation.pointwise import PointwiseConv

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


class BatchedLinear(nn.Module):
    """Linear layers of P plans, (P x N, ..., I) -> (P x N, ..., O), as one product.

    Args:
        layer: the layer for one plan.
        plans: number of plans, P.
    """

    def __init__(self, layer: nn.Linear, plans: int) -> None:
        super().__init__()
        self.weight = _repeated(layer.weight, plans)  # (P, O, I)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the samples of each plan by its weight, (P x N, ..., I) -> (P x N, ..., O)."""
        return _products(x, self.weight, self.bias)


class BatchedPointwise(nn.Module):
    """1 x 1 convolutions of P plans on channels-last images, as one product.

    Args:
        conv: the convolution for one plan.
        plans: number of plans, P.
    """

    def __init__(self, conv: PointwiseConv, plans: int) -> None:
        super().__init__()
        self.weight = _repeated(conv.weight, plans)  # (P, O, I, 1, 1)
        self.bias = conv.bias

    def forward(self, images: Tensor) -> Tensor:
        """Convolve: (P x N, C, H, W), channels last, -> (P x N, C', H, W)."""
        pixels = images.permute(0, 2, 3, 1)
        return _products(pixels, self.weight.flatten(2), self.bias).permute(0, 3, 1, 2)


class BatchedConv(nn.Module):
    """Convolutions of P plans, one after the other.

    As one product, kernels of several positions would need their inputs copied for each position;
    as one grouped convolution, most libraries have no fast kernel for them.

    Args:
        conv: the convolution for one plan, whose stride and padding are used.
        plans: number of plans, P.
    """

    def __init__(self, conv: Convolution, plans: int) -> None:
        super().__init__()
        self.weight = _repeated(conv.weight, plans)  # (P, O, I / groups, ...)
        self._conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the samples of each plan with its weight: (P x N, C, ...)."""
        pairs = zip(x.chunk(len(self.weight)), self.weight, strict=True)
        bias = self._conv.bias
        return torch.cat([self._conv._conv_forward(mine, each, bias) for mine, each in pairs])


class BatchedMap(nn.Module):
    """Channel maps of P plans, one after the other.

    Args:
        channels: the map for one plan.
        plans: number of plans, P.
    """

    source: Tensor

    def __init__(self, channels: ChannelMap, plans: int) -> None:
        super().__init__()
        self.register_buffer("source", torch.stack([channels.source] * plans))  # (P, outputs)
        self._map = channels

    def forward(self, x: Tensor) -> Tensor:
        """Pick the channels of each plan: (P x N, C, H, W)."""
        pairs = zip(x.chunk(len(self.source)), self.source, strict=True)
        return torch.cat([self._map.picked(mine, source) for mine, source in pairs])


BATCHED = {
    nn.Linear: BatchedLinear,
    PointwiseConv: BatchedPointwise,
    nn.Conv1d: BatchedConv,
    nn.Conv2d: BatchedConv,
    nn.Conv3d: BatchedConv,
    ChannelMap: BatchedMap,
}
"""Class of a layer -> its replacement for several plans."""


class BatchedNetwork(nn.Module):
    """A network that evaluates P plans in one pass, one after the other in the batch.

    Args:
        network: the network for one plan, in eval mode; modules that are not written are shared.
        written: names of the modules that plans are written into.
        plans: number of plans, P.

    Raises:
        ValueError: a written module has no form for several plans.
    """

    def __init__(self, network: nn.Module, written: Iterable[str], plans: int) -> None:
        super().__init__()
        tensors = {id(t): t for t in (*network.parameters(), *network.buffers())}
        self.network = copy.deepcopy(network, dict(tensors))
        for name in written:
            module = self.network.get_submodule(name)
            if type(module) not in BATCHED:
                raise ValueError(
                    f"{name!r}, a {type(module).__name__}, has no form for several plans"
                )
            several = BATCHED[type(module)](module, plans)
            if name:
                self.network.set_submodule(name, several)
            else:
                self.network = several
        self.plans = plans

    def forward(self, *inputs: Nest, **named: Nest) -> Nest:
        """Run N samples; return outputs of P x N samples, those of the first plan first."""
        return called(self.network, joined([named or inputs] * self.plans))


def _products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply the samples of P plans, (P x N, ..., I), by weights (P, O, I)."""
    rows = x.reshape(len(weight), -1, x.shape[-1])
    out = rows @ weight.mT if bias is None else torch.baddbmm(bias, rows, weight.mT)
    return out.view(*x.shape[:-1], -1)


def _repeated(tensor: Tensor, plans: int) -> nn.Parameter:
    """Return P copies of a weight, each with its memory layout."""
    weight = tensor.detach()
    if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        copies = torch.stack([weight.permute(0, 2, 3, 1)] * plans).permute(0, 1, 4, 2, 3)
    else:
        copies = torch.stack([weight] * plans)
    return nn.Parameter(copies, requires_grad=False)
