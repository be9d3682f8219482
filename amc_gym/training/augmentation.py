"""Random changes to training images that keep their class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

WIDEST = 4 / 3
"""Largest aspect ratio of a random crop, in either direction."""


def augment(images: Tensor, shift: int, flip: bool, crop: float = 1.0) -> Tensor:
    """Return each image cropped, shifted along both axes and mirrored, all at random.

    Draws from torch's global generator.  Shifted-in pixels are black: the smallest value that each
    channel has in the batch.

    Args:
        images: ``(N, C, H, W)``.
        shift: largest shift in pixels; 0 shifts nothing.
        flip: whether to mirror left to right at random.
        crop: smallest share of the area that is cropped; 1 crops nothing.

    Returns:
        ``(N, C, H, W)``; the same tensor if nothing is to be changed.
    """
    count, channels, height, width = images.shape
    device = images.device
    if crop < 1:
        images = cut_out(images, crop)
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


def cut_out(images: Tensor, least: float) -> Tensor:
    """Return a random crop of each image, resized to full size (Szegedy et al., 2015).

    Args:
        images: ``(N, C, H, W)``.
        least: smallest share of the area, in (0, 1).
    """
    count, device = len(images), images.device
    area = torch.empty(count, device=device).uniform_(least, 1)
    ratio = torch.empty(count, device=device).uniform_(-1, 1).mul(math.log(WIDEST) / 2).exp()
    sides = torch.stack([area.sqrt() * ratio, area.sqrt() / ratio], 1).clamp_max(1)  # x, y
    centre = torch.empty(count, 2, device=device).uniform_(-1, 1) * (1 - sides)
    maps = torch.cat([torch.diag_embed(sides), centre[:, :, None]], 2)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
