"""Random changes to training images that leave their class alone."""

from __future__ import annotations

import torch
from torch import Tensor


def augment(images: Tensor, shift: int, flip: bool) -> Tensor:
    """Each image moved by up to ``shift`` pixels along both axes, and mirrored or not.

    Draws from torch's global generator. What moves in is black: the least value each channel has
    in the batch.

    Args:
        images: ``(N, C, H, W)``.
        shift: largest move in pixels; 0 draws nothing.
        flip: whether to mirror left to right at random.

    Returns:
        ``(N, C, H, W)``; the images themselves if there is nothing to do.
    """
    count, channels, height, width = images.shape
    device = images.device
    if shift:
        black = images.amin(dim=(0, 2, 3)).view(1, channels, 1, 1)
        padded = black.repeat(count, 1, height + 2 * shift, width + 2 * shift)
        padded[:, :, shift:-shift, shift:-shift] = images
        corner = torch.randint(0, 2 * shift + 1, (2, count, 1), device=device)
        rows = corner[0] + torch.arange(height, device=device)
        columns = corner[1] + torch.arange(width, device=device)
        image = torch.arange(count, device=device)[:, None, None]
        # Indexing on both sides of a slice puts the slice last: N, H, W, C.
        images = padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(count, 1, 1, 1, device=device) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    return images
