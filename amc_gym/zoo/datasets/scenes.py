"""Rendered scenes: discs, squares and triangles on a noisy background, with boxes and masks.

They need no download: a scene is a function of its seed, and there can be any number of them.
"""

from __future__ import annotations

import numpy as np
import torch

from amc_gym._utils.arguments import whole
from amc_gym._utils.names import choose
from amc_gym.tasks.samples import Samples

SHAPES = ("disc", "square", "triangle")
"""Kinds of objects in a scene; their classes start at 1, as 0 is the background."""

MOST = 3
"""Most objects in a scene."""

OVERLAP = 0.1
"""Largest common area of two boxes, as a share of the smaller one."""

KINDS = ("boxes", "masks")


def scenes(n: int, seed: int, *, targets: str = "boxes", size: int = 64) -> Samples:
    """Return scenes with their objects.

    Args:
        n: number of scenes.
        seed: seed of everything; scenes of different seeds are independent.
        targets: "boxes", a list of "boxes" (objects, 4) by their corners and "labels" (objects,),
            or "masks", the class of each pixel, (n, size, size).
        size: side of the images in pixels; an object's side is a sixth to a third of it.

    Returns:
        Images (n, 3, size, size) around 0, and the targets.

    Raises:
        TypeError, ValueError: an argument has another type or value.
    """
    n, size = whole("n", n, at_least=1), whole("size", size, at_least=24)
    choose("targets", targets, KINDS)
    random = np.random.RandomState(whole("seed", seed, at_least=0))  # its stream never changes
    drawn = [_scene(random, size) for _ in range(n)]
    images = torch.from_numpy(np.stack([image for image, *_ in drawn])).permute(0, 3, 1, 2)
    if targets == "masks":
        masks = torch.from_numpy(np.stack([mask for _, mask, *_ in drawn]))
        return Samples(images.contiguous(), masks)
    found = [
        {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
        for _, _, boxes, labels in drawn
    ]
    return Samples(images.contiguous(), found)


def _scene(
    random: np.random.RandomState, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return image (size, size, 3), mask (size, size), boxes (objects, 4), classes (objects,)."""
    slope = random.uniform(-0.5, 0.5, (2, 3))
    y, x = np.mgrid[:size, :size]
    ground = (x / size - 0.5)[..., None] * slope[0] + (y / size - 0.5)[..., None] * slope[1]
    image = ground + random.normal(0, 0.1, (size, size, 3))
    mask = np.zeros((size, size), dtype=np.int64)
    boxes: list[np.ndarray] = []
    labels: list[int] = []
    for _ in range(random.randint(1, MOST + 1)):
        side = random.randint(size // 6, size // 3)
        left, top = random.randint(0, size - side, 2)
        kind, colour = random.randint(len(SHAPES)), random.uniform(-1, 1, 3)
        box = np.array([left, top, left + side, top + side], dtype=np.float32)
        if any(_shared(box, other) > OVERLAP for other in boxes):
            continue
        inside = _inside(SHAPES[kind], (x - left + 0.5) / side, (y - top + 0.5) / side)
        image[inside] += colour + 0.6 * np.sign(colour.sum() or 1)  # never the background's colour
        mask[inside] = kind + 1
        boxes.append(box)
        labels.append(kind + 1)
    return image.astype(np.float32), mask, np.stack(boxes), np.array(labels)


def _inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mask of a shape's pixels, by their position in its box from 0 to 1."""
    within = (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
    if shape == "disc":
        return (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    if shape == "triangle":
        return within & (abs(x - 0.5) <= y / 2)
    return within


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """Return the common area of two boxes as a share of the smaller one's."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    areas = [np.prod(box[2:] - box[:2]) for box in (one, other)]
    return float(np.prod(sides.clip(0)) / min(areas))
