"""Batch sizes: images in one batch, and plans in one pass."""

from __future__ import annotations

from math import ceil

import torch

from amc_gym.compression.graph import ChannelGraph

BATCH_BYTES = {"cpu": 40 * 2**20, "cuda": 2 * 2**30}
"""Most bytes of the uncompressed network's widest layer, input and output, in one batch.

On a CPU this is about the size of a cache, on a GPU enough to keep it busy.
"""

BATCHES, BATCH_IMAGES = 2, 100
"""The number of batches is a multiple of ``BATCHES``, one for each core, unless half a batch would
hold fewer than ``BATCH_IMAGES``."""

PLANS = 64
"""Most plans in one pass; more gain nothing."""


def batch_size(graph: ChannelGraph, n_images: int, device: str = "cpu") -> int:
    """Return the images per batch, such that activations stay within ``BATCH_BYTES``.

    Batches are equally large.  The size follows a rule rather than a timing, because it affects the
    rounding of sums, and the same seed has to give the same rewards, bit for bit, on a busy machine
    as on an idle one.
    """
    most = max(1, BATCH_BYTES.get(device, BATCH_BYTES["cuda"]) // (4 * _widest(graph)))
    batches = ceil(n_images / most)
    if device == "cpu" and (batches > 1 or n_images >= BATCHES * BATCH_IMAGES):
        batches = BATCHES * ceil(batches / BATCHES)
    return ceil(n_images / batches)


def plans_per_pass(graph: ChannelGraph, batch: int, device: torch.device) -> int:
    """Return the number of plans in one pass: a power of two whose activations and weights fit.

    Args:
        graph: of the network.
        batch: images in one batch.
        device: device to run on; on a GPU they must also fit into an eighth of its free memory.
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
    """Return how many values the widest layer reads and writes for one image."""
    return max(
        len(layer.outputs) * layer.sites
        + len(layer.inputs or layer.outputs) * layer.height * layer.width
        for layer in graph.layers.values()
    )
