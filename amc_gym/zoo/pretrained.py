"""Registered networks with their weights: bundled, torchvision's, a user's, or random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from amc_gym.zoo import bundled, checkpoints, models

RANDOM_SEED = 0

NAMED = ("bundled", "torchvision", "random")
"""Weights that are not a file of the user's."""


def pretrained(network: str, dataset: str, weights: str, classes: Callable[[], int]) -> nn.Module:
    """Return a registered network in evaluation mode.

    Args:
        network: a name in ``models.NETWORKS``.
        dataset: data set of the network's variant, without options.
        weights: "bundled", "torchvision" (downloaded once, to torch's own cache), "random" (the
            same ones each time), or the path of a checkpoint, see ``checkpoints.read``.
        classes: returns the number of classes of the data set.  It is called last, because it may
            be slow: weights that are missing or belong to another network are refused first.

    Raises:
        ValueError: a name is unknown, there are no such weights, or they belong to another network.
        OSError: the weights are missing or damaged, or cannot be fetched.
    """
    if weights == "bundled":
        return bundled.load(network, dataset)
    if weights == "torchvision":
        state = _torchvision(network, dataset)
    elif weights == "random":
        state = None
    else:
        state = models.NETWORKS[network].rename(checkpoints.read(Path(weights)))
    if state is None:
        return _random(network, dataset, classes())
    origin = f"weights={weights!r}"
    model = _random(network, dataset, None)
    checkpoints.put(state, model, origin, any_classes=True)
    known = classes()
    if known != checkpoints.classes_of(model):
        model = _random(network, dataset, known)
    checkpoints.put(state, model, origin)
    return model


def _random(network: str, dataset: str, classes: int | None) -> nn.Module:
    """Return the network with random weights, always the same, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return models.build(network, dataset, classes).eval()


def _torchvision(network: str, dataset: str) -> dict[str, Tensor]:
    """Return torchvision's tensors, whose published checksum its downloader checks."""
    name = models.NETWORKS[network].torchvision
    if name is None or dataset != "imagenet":
        known = ", ".join(n for n, entry in models.NETWORKS.items() if entry.torchvision)
        raise ValueError(
            f"torchvision has no weights of {network} for {dataset}, only those of {known} for "
            "dataset='imagenet'"
        )
    from torchvision import models as torchvision_models  # takes as long as importing torch

    entry = torchvision_models.get_weight(name)
    try:
        return dict(entry.get_state_dict(progress=True, check_hash=True))
    except OSError as error:  # urllib's errors are OSErrors
        raise OSError(
            f"cannot fetch {entry.url} ({error}): fetch it on a machine with network access, and "
            "pass its path as weights=..."
        ) from error
    except RuntimeError as error:  # the checksum differs
        raise OSError(f"{entry.url} was damaged in transfer ({error}): try again") from error
