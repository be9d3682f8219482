"""The form of evaluated networks: changes that make them faster."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from amc_gym._utils.nests import Nest
from amc_gym.compression.evaluation.evaluator import channels_last
from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.evaluation.pointwise import with_pointwise
from amc_gym.compression.graph import ChannelGraph


@dataclass(frozen=True)
class Form:
    """Changes made to a network before its evaluation; every form computes the same.

    Attributes:
        folded: whether batch norms are folded into the layers before them.
        channels_last: whether channels are last in memory, and 1 x 1 convolutions are matrix
            products.
    """

    folded: bool = True
    channels_last: bool = True

    def fold(self, model: nn.Module, graph: ChannelGraph) -> tuple[nn.Module, ChannelGraph]:
        """Return a copy of ``model`` (eval mode), with norms folded if the form says so."""
        return fold_norms(model, graph) if self.folded else (copy.deepcopy(model), graph)

    def lay_out(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """Move a network to its device, precision and memory layout, in place."""
        if not self.channels_last:
            return model.to(device=device, dtype=dtype)
        model = model.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return with_pointwise(model)

    def lay(self, images: Nest) -> Nest:
        """Return inputs in the memory layout of this form."""
        return channels_last(images) if self.channels_last else images

    def __str__(self) -> str:
        norms = "folded norms" if self.folded else "norms not folded"
        return f"{norms} and channels {'last' if self.channels_last else 'first'}"


PLAIN = Form(folded=False, channels_last=False)
FORMS = (Form(), Form(channels_last=False), Form(folded=False), PLAIN)
"""Forms from the fastest to the unchanged network."""
