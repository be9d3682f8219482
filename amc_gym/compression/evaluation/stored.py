"""Images stored as bytes, in a quarter of the memory, and normalised when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn


class Stored(Protocol):
    """Images with their normalisation, such as ``amc_gym.Split``."""

    @property
    def images(self) -> Tensor:
        """Images (N, C, H, W), uint8 or float32."""
        ...

    @property
    def mean(self) -> tuple[float, ...] | None:
        """Mean of each channel for values from 0 to 1; ``None`` for floats."""
        ...

    @property
    def std(self) -> tuple[float, ...] | None:
        """Standard deviation of each channel, likewise."""
        ...


def as_bytes(images: object) -> Stored | None:
    """Return images that are bytes with a normalisation; ``None`` for any others."""
    known = getattr(images, "mean", None) is not None and hasattr(images, "images")
    return cast(Stored, images) if known else None


def per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Return a tensor (1, C, 1, 1) with one number for each channel."""
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return bytes as floats of mean 0 and deviation 1.

    Args:
        images: (N, C, H, W) uint8.
        mean: for values from 0 to 1, (1, C, 1, 1).
        std: standard deviation, likewise.
    """
    return images.float().div_(255).sub_(mean).div_(std)


class Normalised(nn.Module):
    """A network that takes bytes and normalises them; it also takes floats.

    Args:
        network: takes normalised floats.
        images: images with their normalisation.
        device: device of the network.
        dtype: of the network's weights.
    """

    def __init__(
        self, network: nn.Module, images: Stored, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        assert images.mean is not None
        assert images.std is not None
        self.network, self._dtype = network, dtype
        self._mean, self._std = (per_channel(each, device) for each in (images.mean, images.std))

    def forward(self, images: Tensor) -> object:
        """Run the network on (N, C, H, W) uint8 or floats."""
        if images.dtype == torch.uint8:
            images = normalised(images, self._mean, self._std).to(self._dtype)
        return self.network(images)
