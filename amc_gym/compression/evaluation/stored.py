"""Images as they are stored: bytes, a quarter of the memory, normalised where they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn


class Stored(Protocol):
    """Images with how they are normalised, such as ``amc_gym.Split``."""

    @property
    def images(self) -> Tensor:
        """Images (N, C, H, W), uint8 or float32."""
        ...

    @property
    def mean(self) -> tuple[float, ...] | None:
        """Mean of each channel of the bytes, of values from 0 to 1; ``None`` for floats."""
        ...

    @property
    def std(self) -> tuple[float, ...] | None:
        """Standard deviation, likewise."""
        ...


def as_bytes(images: object) -> Stored | None:
    """Return images that are bytes, normalised in flight; ``None`` for any others."""
    known = getattr(images, "mean", None) is not None and hasattr(images, "images")
    return cast(Stored, images) if known else None


def per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Return one number for each channel of images, (1, C, 1, 1)."""
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return bytes as floats of mean 0 and deviation 1.

    Args:
        images: (N, C, H, W) uint8.
        mean: of values from 0 to 1, (1, C, 1, 1).
        std: likewise.
    """
    return images.float().div_(255).sub_(mean).div_(std)


class Normalised(nn.Module):
    """A network that takes bytes; floats it takes as they are.

    Args:
        network: takes normalised floats.
        images: say how they are normalised.
        device: where they are.
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
        """Run the network: (N, C, H, W) uint8 or floats -> what it returns."""
        if images.dtype == torch.uint8:
            images = normalised(images, self._mean, self._std).to(self._dtype)
        return self.network(images)
