"""Recognition of norms over channels that run in steps, by what they compute.

PyTorch has one operation for layer norms of the last dimension.  Layer norms of feature maps
(N, C, H, W), of tutorials and of papers, and root-mean-square norms (Zhang and Sennrich, 2019) are
modules of everybody's own, which compute means, squares and roots.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from amc_gym.compression.slim import set_width

TOLERANCE = 1e-4
"""Relative tolerance: code of norms often computes in float32, whatever it is given."""

SIZE = 1e3
"""Size of the values on which a module is tried, beside which no epsilon counts."""

MOST_PARAMETERS = 2
"""Scale and shift."""

MOST_CHANNELS = 2**16
"""Longer parameters are something else, and trials on as many channels would take gigabytes."""


def channel_norms(model: nn.Module) -> dict[str, int]:
    """Find modules that normalise each position over its channels, and do nothing else.

    Such a module has a scale, and possibly a shift, for each channel, and no submodules.  On fewer
    channels it does what it did to those, with the statistics of those alone.  One without a scale
    stores a shape instead.  PyTorch's layer norms with a scale are left out: each is one operation.

    Args:
        model: not changed; copies of its modules are tried, with other values of their parameters.

    Returns:
        Name of the module -> the dimension of its input that holds the channels, 1 or -1.
    """
    found = {name: _dimension(module) for name, module in model.named_modules()}
    return {name: dimension for name, dimension in found.items() if dimension is not None}


def _dimension(module: nn.Module) -> int | None:
    """Return the dimension that a norm normalises; ``None`` for other modules."""
    if type(module) is nn.LayerNorm and module.weight is not None:
        return None  # one operation
    parameters = [*module.parameters(recurse=False)]
    sizes = {each.numel() for each in parameters} or {*_stored(module).values()}
    vectors = all(max(each.shape, default=0) == each.numel() for each in parameters)
    more = any(True for _ in (*module.children(), *module.buffers(recurse=False)))
    if more or not vectors or len(sizes) != 1 or len(parameters) > MOST_PARAMETERS:
        return None
    (channels,) = sizes
    if not 2 <= channels <= MOST_CHANNELS:
        return None
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(channels, generator=generator)[: (channels + 2) // 2]
    try:
        whole = copy.deepcopy(module).cpu().double().eval()
    except Exception:  # whatever it is, it is no norm
        return None
    for parameter in whole.parameters():
        parameter.data.uniform_(0.5, 1.5, generator=generator)
    narrow = _narrow(whole, channels, some)
    for x, dimension in _trials(channels, generator):
        try:
            with torch.no_grad():
                pairs = [(x, whole(x)), (fewer := x.index_select(dimension, some), narrow(fewer))]
        except Exception:
            continue
        if all(isinstance(y, Tensor) and y.shape == x.shape for x, y in pairs):
            one, two = (_Pair(_rows(x, dimension), _rows(y, dimension)) for x, y in pairs)
            if any(_is_of(normal, one, two, some) for normal in NORMALS):
                return dimension
    return None


def _trials(channels: int, generator: torch.Generator) -> Iterator[tuple[Tensor, int]]:
    """Yield inputs of norms, with the dimension of the channels."""
    for shape, dimension in (
        ((2, channels, 5, 7), 1),
        ((2, 7, channels), -1),
        ((2, channels, 7), 1),
    ):
        yield SIZE * torch.randn(shape, dtype=torch.float64, generator=generator), dimension


def _narrow(module: nn.Module, channels: int, some: Tensor) -> nn.Module:
    """Return a copy of a module with some channels only, also in the shapes that it stores."""
    narrow = copy.deepcopy(module)
    for name, parameter in [*narrow.named_parameters(recurse=False)]:
        widest = parameter.shape.index(parameter.numel())
        setattr(narrow, name, nn.Parameter(parameter.detach().index_select(widest, some)))
    for attribute in [name for name, size in _stored(module).items() if size == channels]:
        set_width(narrow, len(some), f"{attribute}[0]")
    return narrow


def _stored(module: nn.Module) -> dict[str, int]:
    """Return the number of channels in each shape of one dimension that a module stores."""
    return {
        name: value[0]
        for name, value in vars(module).items()
        if isinstance(value, tuple | list) and len(value) == 1 and type(value[0]) is int
    }


def _rows(tensor: Tensor, dimension: int) -> Tensor:
    """Return a tensor as (positions, channels)."""
    return tensor.double().movedim(dimension, -1).flatten(0, -2)


def _by_length(x: Tensor) -> Tensor:
    return x * x.square().mean(-1, keepdim=True).rsqrt()


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)


def _by_sample(x: Tensor) -> Tensor:
    """Standardise with the standard deviation of a sample, torch's default."""
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=1, keepdim=True)


NORMALS: tuple[Callable[[Tensor], Tensor], ...] = (_by_length, _standardised, _by_sample)
"""Functions that normalise each row of (positions, channels), as norms do before they scale."""


class _Pair(NamedTuple):
    """Input and output of a module, both (positions, channels)."""

    x: Tensor
    y: Tensor


def _is_of(normal: Callable[[Tensor], Tensor], whole: _Pair, fewer: _Pair, some: Tensor) -> bool:
    """Return whether outputs are scaled and shifted normal values, on fewer channels alike."""
    n = normal(whole.x)
    centred = n - n.mean(0)
    scale = (centred * whole.y).sum(0) / centred.square().sum(0)
    shift = (whole.y - scale * n).mean(0)
    return (
        float(scale.abs().min()) > TOLERANCE
        and _close(whole.y, scale * n + shift)
        and _close(fewer.y, scale[some] * normal(fewer.x) + shift[some])
    )


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)
