"""What Torch-Pruning does with the same network, used as its README says.

Half of the channels of every layer but the classifier go by magnitude.  Whether the result is right
is judged without either library's idea of the network: the original's weights are random, so each
weight that is left says from which row and column it comes.  The original with zeros in the columns
that are gone has to compute the same.
"""

from __future__ import annotations

import copy
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from amc_gym.compression.slim import WEIGHTED
from amc_gym.compression.tracing.verification import same_outputs

TOLERANCE = 1e-4
"""Tolerance as a share of the largest output, in float32."""


def peer(model: nn.Module, example: Tensor, classes: int = 1000) -> dict[str, Any]:
    """Prune a network by Torch-Pruning.

    Returns:
        seconds, verdict ("right", "differs", "fails", "nothing") and why.
    """
    import torch_pruning as tp

    original, began = copy.deepcopy(model), time.monotonic()
    ignored: list[nn.Module] = [
        m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == classes
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = tp.pruner.BasePruner(
                model,
                example[:1],
                importance=tp.importance.GroupMagnitudeImportance(),
                pruning_ratio=0.5,
                ignored_layers=ignored,
            )
            pruner.step()
            with torch.no_grad():
                found = model(example)
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        return _row(began, verdict="fails", why=why)
    fewer = sum(p.numel() for p in model.parameters())
    before = sum(p.numel() for p in original.parameters())
    if fewer >= before:
        return _row(began, verdict="nothing", why="no parameter fewer")
    with torch.no_grad():
        wanted = masked_like(original, model)(example)
    right = same_outputs(found, wanted, TOLERANCE)
    return _row(
        began,
        verdict="right" if right else "differs",
        why="" if right else f"by {_difference(found, wanted)} of the largest output",
        kept=round(fewer / before, 3),
    )


def _row(began: float, **found: Any) -> dict[str, Any]:
    return {"seconds": round(time.monotonic() - began, 1), **found}


def _difference(found: object, wanted: object) -> str:
    pairs = zip(tree_leaves(found), tree_leaves(wanted), strict=False)
    shares = [
        float((one - other).abs().max() / other.abs().max())
        for one, other in pairs
        if isinstance(one, Tensor) and one.shape == other.shape
    ]
    return f"{max(shares):.2g}" if shares else "another shape"


def masked_like(original: nn.Module, slim: nn.Module) -> nn.Module:
    """The original with zeros where its layers read what those of ``slim`` no longer have.

    Norms over several channels are taken over those that are left.
    """
    masked = copy.deepcopy(original)
    for name, module in masked.named_modules():
        other = slim.get_submodule(name)
        if isinstance(module, WEIGHTED) and isinstance(other, WEIGHTED):
            rows, columns = _left(module.weight, other.weight)
            turned = isinstance(module, nn.modules.conv._ConvNd) and module.transposed
            depthwise = isinstance(module, nn.modules.conv._ConvNd) and module.groups > 1
            with torch.no_grad():
                if not depthwise:
                    gone = np.setdiff1d(np.arange(module.weight.shape[1]), columns)
                    module.weight[:, gone] = 0
                gone = np.setdiff1d(np.arange(len(module.weight)), rows)
                module.weight[gone] = 0
                if module.bias is not None and not turned:
                    module.bias[gone] = 0
    return masked


def _left(weight: Tensor, slim: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a weight that a slim one still has."""
    flat, small = weight.detach().flatten(2), slim.detach().flatten(2)
    flat, small = (t[..., 0] if t.dim() > 2 else t for t in (flat, small))
    places = {value: place for place, value in enumerate(flat.flatten().tolist())}
    found = np.array([places[value] for value in small.flatten().tolist()])
    return np.unique(found // flat.shape[1]), np.unique(found % flat.shape[1])
