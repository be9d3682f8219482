"""How large batches are: images of one batch, and plans that one pass judges."""

from __future__ import annotations

from math import ceil

import torch

from amc_gym.compression.graph import ChannelGraph

BATCH_BYTES = {"cpu": 40 * 2**20, "cuda": 2 * 2**30}
"""Activations of the uncompressed network's widest layer, in and out, that one batch may hold.

On a processor a cache's worth, on a GPU enough to keep it busy.
"""

BATCHES, BATCH_IMAGES = 2, 100
"""Batches come in multiples of so many, for as many cores; one batch stays one where halves would
hold fewer images than that."""

PLANS = 64
"""Plans that one pass judges at most: more gain nothing."""


def batch_size(graph: ChannelGraph, n_images: int, device: str = "cpu") -> int:
    """Images per batch such that activations stay within ``BATCH_BYTES``, in equal batches.

    A rule rather than a timing: with the batch the rounding of sums changes, and the same seed
    has to give the same rewards, bit for bit, on a busy machine as on an idle one.
    """
    most = max(1, BATCH_BYTES.get(device, BATCH_BYTES["cuda"]) // (4 * _widest(graph)))
    batches = ceil(n_images / most)
    if device == "cpu" and (batches > 1 or n_images >= BATCHES * BATCH_IMAGES):
        batches = BATCHES * ceil(batches / BATCHES)
    return ceil(n_images / batches)


def plans_per_pass(graph: ChannelGraph, batch: int, device: torch.device) -> int:
    """Plans that one pass may judge: a power of two of which activations and weights fit.

    Args:
        graph: of the network.
        batch: images in one batch.
        device: where; on a GPU an eighth of its free memory is enough, too.
    """
    room = BATCH_BYTES.get(device.type, BATCH_BYTES["cuda"])
    if device.type == "cuda":
        room = min(room, torch.cuda.mem_get_info(device)[0] // 8)
    weights = sum(
        layer.weights * len(layer.outputs) * len(layer.inputs) // layer.groups
        for layer in graph.layers.values()
        if layer.inputs is not None
    )
    plans = room // (4 * (batch * _widest(graph) + weights))
    return min(PLANS, 2 ** (int(plans).bit_length() - 1)) if plans else 1


def _widest(graph: ChannelGraph) -> int:
    """Return how many numbers the widest layer reads and writes for one image."""
    return max(
        len(layer.outputs) * layer.sites
        + len(layer.inputs or layer.outputs) * layer.height * layer.width
        for layer in graph.layers.values()
    )
