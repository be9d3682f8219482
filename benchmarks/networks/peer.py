"""Torch-Pruning's result for the same network, used as in its README.

Half of the channels of every layer except the classifier are pruned by magnitude.  Whether the
result is right is checked independently of both libraries: the original's weights are random, so
each remaining weight shows which row and column it comes from.  The original with zeros in the
removed columns has to compute the same.
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

from amc_gym.compression.masked_norms import MaskedNorms
from amc_gym.compression.slim import WEIGHTED
from amc_gym.compression.tracing.verification import same_outputs
from benchmarks.networks.trials import stop_the_clock

SAMPLE = 3
"""Number of random values that identify a row or column."""

TOLERANCE = 1e-4
"""Tolerance as a share of the largest output, in float32."""


def peer(model: nn.Module, example: Tensor, classes: int = 1000) -> dict[str, Any]:
    """Prune a network by Torch-Pruning.

    Returns:
        seconds, verdict ("right", "differs", "fails", "nothing", "unjudged") and why.
    """
    import torch_pruning as tp

    original, began = copy.deepcopy(model), time.process_time()
    ignored: list[nn.Module] = [
        module
        for module in model.modules()
        if isinstance(module, WEIGHTED) and len(module.weight) == classes
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
        return _row(time.process_time() - began, verdict="fails", why=why)
    stop_the_clock()
    spent = time.process_time() - began
    fewer = sum(p.numel() for p in model.parameters())
    before = sum(p.numel() for p in original.parameters())
    if fewer >= before:
        return _row(spent, verdict="nothing", why="no parameter fewer")
    try:
        with torch.no_grad():
            wanted = masked_like(original, model)(example)
    except (AttributeError, ValueError, RuntimeError) as error:
        why = f"what it should compute is not known: {type(error).__name__}: {error}"
        return _row(spent, verdict="unjudged", why=why)
    right = same_outputs(found, wanted, TOLERANCE)
    why = "" if right else f"by {_difference(found, wanted)} of the largest output"
    return _row(spent, verdict="right" if right else "differs", why=why)


def _row(spent: float, **found: Any) -> dict[str, Any]:
    return {"seconds": round(spent, 1), **found}


def _difference(found: object, wanted: object) -> str:
    pairs = zip(tree_leaves(found), tree_leaves(wanted), strict=False)
    shares = [
        float((one - other).abs().max() / other.abs().max())
        for one, other in pairs
        if isinstance(one, Tensor) and one.shape == other.shape
    ]
    return f"{max(shares):.2g}" if shares else "another shape"


def masked_like(original: nn.Module, slim: nn.Module) -> nn.Module:
    """Return the original with zeros for what layers of ``slim`` no longer read.

    Layer norms take their statistics over the remaining channels.

    Raises:
        ValueError: a weight of ``slim`` does not come from the original.
    """
    masked = copy.deepcopy(original)
    norms = {}
    for name, module in masked.named_modules():
        other = slim.get_submodule(name)
        if isinstance(module, nn.LayerNorm) and isinstance(other, nn.LayerNorm):
            if module.weight is not None and module.weight.dim() == 1:
                norms[id(module.weight)] = _left_of_vector(module.weight, other.weight)
        elif isinstance(module, WEIGHTED) and isinstance(other, WEIGHTED):
            if getattr(module, "groups", 1) > 1:
                _leave_out_of_groups(module, other)
            else:
                _leave_out(module, *_left(module.weight, other.weight))
    MaskedNorms(norms).watch(masked)
    return masked


def _leave_out(layer: nn.Module, rows: np.ndarray, columns: np.ndarray) -> None:
    """Set the other rows and columns of a layer's weight to zero, in place."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight[:, np.setdiff1d(np.arange(weight.shape[1]), columns)] = 0
        gone = np.setdiff1d(np.arange(len(weight)), rows)
        weight[gone] = 0
        if isinstance(bias, Tensor) and not getattr(layer, "transposed", False):
            bias[gone] = 0


def _leave_out_of_groups(layer: nn.Module, slim: nn.Module) -> None:
    """Set to zero, in place, what a grouped convolution no longer has; rows differ in columns."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(slim.weight, Tensor)
    full, small = (t.detach().flatten(2)[..., 0].numpy() for t in (weight, slim.weight))
    keep = np.zeros(full.shape, dtype=bool)
    for row in small:
        place = _row_of(full, row)
        keep[place] = np.isin(full[place], row)
    with torch.no_grad():
        weight[torch.from_numpy(~keep)] = 0
        if isinstance(bias, Tensor):
            bias[torch.from_numpy(~keep.any(1))] = 0


def _left(weight: Tensor, slim: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of a weight that a slim one still has, in the same order.

    Raises:
        ValueError: the slim one holds values that the original does not.
    """
    full, small = (
        (t.detach().flatten(2)[..., 0] if t.dim() > 2 else t.detach()).numpy()
        for t in (weight, slim)
    )
    sample = [_row_of(full, row) for row in small[:SAMPLE]]
    columns = _places(full[sample].T, small[:SAMPLE].T)
    return _places(full[:, columns[:SAMPLE]], small[:, :SAMPLE]), columns


def _row_of(full: np.ndarray, row: np.ndarray) -> int:
    """Return the index of the row that another row, with fewer columns, was cut from."""
    for found in np.flatnonzero((full == row[0]).any(1)):
        if np.isin(row, full[found]).all():
            return int(found)
    raise ValueError("a row that the original has not")


def _places(full: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return the positions of some rows among all rows, identified by a few values."""
    places = {row.tobytes(): place for place, row in enumerate(np.ascontiguousarray(full))}
    try:
        return np.array([places[row.tobytes()] for row in np.ascontiguousarray(small)])
    except KeyError:
        raise ValueError("values that the original has not") from None


def _left_of_vector(weight: Tensor, slim: Tensor) -> Tensor:
    """Return the positions of a vector that a slim one still has, in the same order."""
    positions, place = [], 0
    values = weight.tolist()
    for value in slim.tolist():
        place = values.index(value, place) + 1
        positions.append(place - 1)
    return torch.tensor(positions)
