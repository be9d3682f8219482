"""The problem that both sides solve: one network, the same images and plans, in one folder.

ImageNet is not available here, so the images are synthetic.  Each has one of ten hues, which is its
label, under coarse patches of other colours and noise.  The network is not trained either, which
would take hours of a core at 224 x 224.  Its 1 x 1 kernels are random.  Its depthwise kernels are
random and positive, so that they smooth: with signs, so deep a random network amplifies the noise
until nothing else is left.  Its batch norms hold the statistics of one batch and shift by 1.  Its
classifier is fitted by least squares to the features of calibration images.

The accuracy is far above chance.  Plans cost narrow networks accuracy, but hardly the one of full
width.  There, equal numbers of correct images, with and without the reference's doubled bias, are
the evidence that both sides re-fit alike.  None of this says anything about accuracies on ImageNet.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.tracing import trace
from amc_gym.envs.budget import Budget, nearest
from amc_gym.tasks.split import Split
from amc_gym.zoo.models.mobilenet import MobileNetV1

PRESERVE_RATIO = 0.5
CHANNEL_MULTIPLE = 8
MAX_SPARSITY = 0.8
"""The reference's defaults: half of the MACs, ``channel_round`` 8, ``lbound`` 0.2."""

SPLITS = ("calibration", "reward", "test")
HUES = 10
MEAN, STD = (0.5,) * 3, (0.25,) * 3
TEST_IMAGES = 10  # our environment requires the split but never uses it
CHUNK = 8  # images made or run at a time: more would not fit into the processor's caches
FITTED = 1500  # largest number of images that the classifier is fitted to
RIDGE = 1e-3  # of that fit, relative to the mean squared feature


@dataclass(frozen=True)
class Scale:
    """The size of a comparison.

    Attributes:
        size: height and width of the images.
        width: multiplier of MobileNet's channel counts.
        classes: number of classes; only the first ten occur as labels.
        reward_images: number of images that every plan is evaluated on.
        calibration_batches: number of batches that layers are re-fitted on.
        batch_size: images per calibration batch, and per batch of the reference's evaluation.
        points: sampled positions of a feature map for each calibration image.
        episodes: number of episodes of each side, each with a different plan.
        threads: threads of each process.

    Raises:
        ValueError: a number is out of range.
    """

    size: int = 224
    width: float = 1.0
    classes: int = 1000
    reward_images: int = 300
    calibration_batches: int = 60
    batch_size: int = 50
    points: int = 10
    episodes: int = 3
    threads: int = 1

    def __post_init__(self) -> None:
        least = {"size": 32, "classes": HUES}
        for name, value in asdict(self).items():
            if name == "width":
                if value <= 0:
                    raise ValueError(f"width must be positive, not {value}")
            elif value < least.get(name, 1):
                raise ValueError(f"{name} must be at least {least.get(name, 1)}, not {value}")


@dataclass(frozen=True)
class Problem:
    """Files that ``make`` wrote into a folder."""

    folder: Path
    scale: Scale
    plans: Sequence[Sequence[int]]  # kept channels of each unit
    calibration: Split
    reward: Split
    test: Split

    def network(self) -> MobileNetV1:
        """Return the network to compress, in eval mode."""
        network = MobileNetV1(self.scale.classes, self.scale.width)
        network.load_state_dict(load_file(self.folder / "network.safetensors"))
        return network.eval()


def make(folder: Path, scale: Scale) -> None:
    """Write images, network and plans for ``load``; they depend on nothing but the scale."""
    numbers = (scale.calibration_batches * scale.batch_size, scale.reward_images, TEST_IMAGES)
    for seed, (name, number) in enumerate(zip(SPLITS, numbers, strict=True)):
        _write_images(folder, name, number, scale.size, seed)
    network = _network(_split(folder, "calibration"), scale)
    save_file(network.state_dict(), folder / "network.safetensors")
    plans = draw_plans(network, scale)
    document = {"setting": asdict(scale), "plans": plans}
    (folder / "problem.json").write_text(json.dumps(document))


def load(folder: Path) -> Problem:
    """Read what ``make`` wrote; images stay in their memory-mapped files."""
    document = json.loads((folder / "problem.json").read_text())
    splits = [_split(folder, name) for name in SPLITS]
    return Problem(folder, Scale(**document["setting"]), document["plans"], *splits)


def draw_plans(network: nn.Module, scale: Scale) -> list[list[int]]:
    """Draw plans irregular from layer to layer, each just within half of the MACs.

    Raises:
        ValueError: the network is too narrow for this.
    """
    graph = trace(network, torch.zeros(1, 3, scale.size, scale.size))
    cost = RESOURCES["macs"].of_channels(graph).total
    ratios, steps = [MAX_SPARSITY] * len(graph.full), [CHANNEL_MULTIPLE] * len(graph.full)
    try:
        # A little below one half: the reference counts the classifier's bias and no batch norm.
        budget = Budget(cost, graph.full, preserve_ratio=0.499, max_sparsity=ratios, steps=steps)
    except ValueError as error:
        raise ValueError(
            f"a network of width {scale.width} cannot be halved in steps of {CHANNEL_MULTIPLE} "
            "channels: take a larger width"
        ) from error
    full, rng = np.array(graph.full), np.random.default_rng(0)

    def counts(level: float, shape: np.ndarray) -> list[int]:
        pairs = zip(budget.admissible, level * shape * full, strict=True)
        return [nearest(choices, wanted) for choices, wanted in pairs]

    def largest(shape: np.ndarray) -> list[int]:
        levels = np.linspace(0, 1, 300)  # at 0 every unit keeps its minimum, which is within budget
        over = bisect_left(levels, True, key=lambda level: not budget.admits(counts(level, shape)))
        return counts(levels[over - 1], shape)

    return [largest(1 + rng.uniform(-0.2, 0.2, len(full))) for _ in range(scale.episodes)]


def _write_images(folder: Path, name: str, number: int, size: int, seed: int) -> None:
    shape = (number, 3, size, size)
    images = open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
    draw, labels = torch.Generator().manual_seed(seed), []
    for start in range(0, number, CHUNK):
        pixels, chosen = _images(min(CHUNK, number - start), size, draw)
        images[start : start + len(chosen)] = pixels.numpy()
        labels.append(chosen)
    images.flush()
    np.save(folder / f"{name}-labels.npy", torch.cat(labels).numpy())


def _images(number: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Make images, uint8 (number, 3, size, size), and their labels."""
    labels = torch.randint(HUES, (number,), generator=draw)
    # Neighbouring hues are separated by a fifth of their distance, before patches and noise.
    hue = (labels + 0.8 * (torch.rand(number, generator=draw) - 0.5)) * (2 * math.pi / HUES)
    colour = torch.stack([torch.cos(hue - k * 2 * math.pi / 3) for k in range(3)], 1)

    def patches(channels: int) -> Tensor:
        """Draw coarse patches, which an average over the image does not remove at any size."""
        coarse = torch.randn(number, channels, 4, 4, generator=draw)
        return F.interpolate(coarse, size=(size, size), mode="bilinear")

    strength = 0.6 + 0.4 * torch.rand(number, 1, 1, 1, generator=draw)
    images = colour[:, :, None, None] * strength * (1 + 0.5 * patches(1)) + 0.5 * patches(3)
    images += 0.25 * torch.randn(number, 3, size, size, generator=draw)
    return (images * 32 + 128).clamp_(0, 255).to(torch.uint8), labels


def _split(folder: Path, name: str) -> Split:
    # Mapped copy on write: torch would warn about a read-only mapping.
    images = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c"))
    return Split(images, torch.from_numpy(np.load(folder / f"{name}-labels.npy")), MEAN, STD)


@torch.no_grad()
def _network(calibration: Split, scale: Scale) -> MobileNetV1:
    """Return the network described in the module's docstring."""
    draw = torch.Generator().manual_seed(0)
    network = MobileNetV1(scale.classes, scale.width)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.uniform_(module.weight, generator=draw)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=draw)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
            module.momentum = 1.0  # the statistics of the one batch
    network.train()(calibration.batch(slice(min(100, len(calibration)))))
    network.eval()

    images = calibration.first(min(FITTED, len(calibration)))
    classifier, network.classifier = network.classifier, nn.Identity()  # type: ignore[assignment]
    features = torch.cat([network(batch) for batch, _ in images.batches(CHUNK)]).double()
    network.classifier = classifier
    # Biases as large as training leaves them.  An intercept would be as large as the logits, and
    # the reference, which adds biases twice, would choose one class for all images.
    bias = nn.init.normal_(torch.empty(HUES), std=0.03, generator=draw)
    targets = F.one_hot(images.labels, HUES).double() - 1 / HUES - bias
    gram = features.T @ features
    gram.diagonal().add_(RIDGE * float(gram.diagonal().mean()))
    weight = torch.linalg.solve(gram, features.T @ targets)
    nn.init.zeros_(classifier.weight)
    nn.init.constant_(classifier.bias, -10.0)  # classes without images are never chosen
    classifier.weight[:HUES] = weight.T.float()
    classifier.bias[:HUES] = bias
    return network
