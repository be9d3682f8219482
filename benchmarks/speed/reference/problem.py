"""The problem of both sides: one network, the same images, the same plans, in one folder.

No ImageNet is at hand, so the images are synthetic.  Each has one hue, and the hue is the label,
one of ten, under coarse patches of other colours and noise.  The network is not trained either:
that would take a core hours at 224 x 224.  Its 1 x 1 kernels are random, its depthwise kernels
random and positive, so that they smooth (with signs a random network this deep amplifies the noise
until nothing else is left), its batch norms hold the statistics of one batch and shift by 1, and
its classifier is fitted by least squares to the features of calibration images.

That is far above chance.  Narrow networks lose accuracy by the plans; the one of full width hardly
does, so that there equal numbers of hits, with and without the reference's doubled bias, are what
shows that both sides re-fit alike.  None of it says anything about accuracies on ImageNet.
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
TEST_IMAGES = 10  # our environment wants the split and never looks at it
CHUNK = 8  # images made, or run, at a time: more would leave the processor's caches
FITTED = 1500  # images that the classifier is fitted to, at most
RIDGE = 1e-3  # of that fit, of the mean squared feature


@dataclass(frozen=True)
class Scale:
    """The size of a comparison.

    Attributes:
        size: side of the square images.
        width: multiplier of MobileNet's channel counts.
        classes: length of the logits; the labels are the first ten.
        reward_images: that every plan is evaluated on.
        calibration_batches: of ``batch_size`` images, that layers are re-fitted on.
        batch_size: of calibration and of the reference's evaluation.
        points: sampled positions of a feature map for each calibration image.
        episodes: of each side, each with a plan of its own.
        threads: of each process.

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
    """Files that ``make`` left in a folder."""

    folder: Path
    scale: Scale
    plans: Sequence[Sequence[int]]  # kept channels of each unit
    calibration: Split
    reward: Split
    test: Split

    def network(self) -> MobileNetV1:
        """Return the network to be compressed, in eval mode."""
        network = MobileNetV1(self.scale.classes, self.scale.width)
        network.load_state_dict(load_file(self.folder / "network.safetensors"))
        return network.eval()


def make(folder: Path, scale: Scale) -> None:
    """Write images, network and plans for ``load``; a scale always gets the same ones."""
    numbers = (scale.calibration_batches * scale.batch_size, scale.reward_images, TEST_IMAGES)
    for seed, (name, number) in enumerate(zip(SPLITS, numbers, strict=True)):
        _write_images(folder, name, number, scale.size, seed)
    network = _network(_split(folder, "calibration"), scale)
    save_file(network.state_dict(), folder / "network.safetensors")
    plans = draw_plans(network, scale)
    document = {"setting": asdict(scale), "plans": plans}
    (folder / "problem.json").write_text(json.dumps(document))


def load(folder: Path) -> Problem:
    """Read what ``make`` wrote; images stay in their files, mapped."""
    document = json.loads((folder / "problem.json").read_text())
    splits = [_split(folder, name) for name in SPLITS]
    return Problem(folder, Scale(**document["setting"]), document["plans"], *splits)


def draw_plans(network: nn.Module, scale: Scale) -> list[list[int]]:
    """Plans irregular from layer to layer, each just within half of the MACs.

    Raises:
        ValueError: the network is too narrow for that.
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
        levels = np.linspace(0, 1, 300)  # at 0 every unit keeps its least, which is within
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
    """Images, uint8 (number, 3, size, size), and their labels."""
    labels = torch.randint(HUES, (number,), generator=draw)
    # Neighbouring hues stay a fifth of their distance apart, before patches and noise.
    hue = (labels + 0.8 * (torch.rand(number, generator=draw) - 0.5)) * (2 * math.pi / HUES)
    colour = torch.stack([torch.cos(hue - k * 2 * math.pi / 3) for k in range(3)], 1)

    def patches(channels: int) -> Tensor:
        """Coarse ones, which an average over the image does not remove at any size."""
        coarse = torch.randn(number, channels, 4, 4, generator=draw)
        return F.interpolate(coarse, size=(size, size), mode="bilinear")

    strength = 0.6 + 0.4 * torch.rand(number, 1, 1, 1, generator=draw)
    images = colour[:, :, None, None] * strength * (1 + 0.5 * patches(1)) + 0.5 * patches(3)
    images += 0.25 * torch.randn(number, 3, size, size, generator=draw)
    return (images * 32 + 128).clamp_(0, 255).to(torch.uint8), labels


def _split(folder: Path, name: str) -> Split:
    # Copy on write: mapped like a file that is only read, and torch does not mind.
    images = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c"))
    return Split(images, torch.from_numpy(np.load(folder / f"{name}-labels.npy")), MEAN, STD)


@torch.no_grad()
def _network(calibration: Split, scale: Scale) -> MobileNetV1:
    """Return the network that the module's text describes."""
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
    # Biases of the size that training leaves.  An intercept would be as large as the logits, and
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
