"""Rendered letters: the capitals of 20 typefaces, rotated, sheared, shifted and noisy.

They need no download: an image is a function of its seed, and there can be any number of them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from amc_gym._utils.arguments import whole
from amc_gym.tasks.limits import require_memory, side
from amc_gym.tasks.split import Split, Splits
from amc_gym.zoo.datasets.registry import register

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

FACES = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Oblique", "DejaVuSansMono-Bold"),
    *("DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)
"""Typefaces from matplotlib, of which the atlas is made, see ``benchmarks.zoo.atlas``."""

ATLAS = Path(__file__).with_name("glyphs.png")
"""Picture of the letters, with one row for each typeface."""

CELL = 32
"""Pixels from one letter to the next in the atlas."""

CALIBRATION = 1000
REWARD = 500
TEST = 1000

LARGEST = 1_000_000
"""Most training images; a hundred thousand take half a minute."""

TURN = 0.27
"""Largest rotation of 30 degrees, as the tangent of half its angle."""

SHEAR = 0.3
"""Largest shear: columns of shift per row from the middle."""

SCALES = (0.75, 1.25)
"""Height and width of a letter, relative to the atlas."""

SHIFT = 0.14
"""Largest shift along each axis, as a share of the image's side."""

CONTRAST = (0.35, 1.0)
"""Brightness of a letter, as a share of white."""

NOISE = 40
"""Noise of a pixel: the sum of four integers up to this, minus its mean."""

CHUNK = 1000
"""Images that are drawn together, which limits the memory for it."""


@register("glyphs")
def glyphs(resolution: int = 28, train: int = 4000, seed: int = 0) -> Splits:
    """Return capital letters of 20 typefaces: grey images, 26 classes in equal shares, no download.

    Each image is a letter of a random typeface, rotated by up to 30 degrees, sheared, scaled along
    both axes, shifted, with random contrast and noise, all drawn anew for each image.  Reward holds
    500 images, test 1,000, and calibration the first 1,000 of train.  The images of a seed are the
    same, bit for bit, on every machine: they are made from a picture, by arithmetic that rounds the
    same everywhere, and end as integers.

    Args:
        resolution: side of the square images, in pixels, at least 16.
        train: number of training images, at least 1,000; reward and test stay the same.
        seed: seed of everything; images of different seeds are independent.

    Raises:
        ValueError: an option is out of range, or the images would not fit into memory.
    """
    resolution = side("resolution", resolution, at_least=16)
    train = whole("train", train, at_least=CALIBRATION, at_most=LARGEST)
    seed = whole("seed", seed, at_least=0, at_most=2**32 - 1)
    require_memory(
        f"{train:,} glyphs of {resolution} x {resolution} pixels",
        2 * (train + REWARD + TEST) * 4 * resolution**2,
        "choose a smaller train= or resolution=",
    )
    training, reward, test = (
        _split(np.random.RandomState([seed, part]), n, resolution)  # its stream never changes
        for part, n in enumerate((train, REWARD, TEST))
    )
    return Splits(
        train=training,
        calibration=training.first(CALIBRATION),
        reward=reward,
        test=test,
        classes=len(LETTERS),
    )


def _split(random: np.random.RandomState, n: int, resolution: int) -> Split:
    labels = random.permutation(np.arange(n) % len(LETTERS))
    parts = np.split(labels, range(CHUNK, n, CHUNK))
    pixels = np.concatenate([_drawn(random, part, resolution) for part in parts])
    # Each pixel is rounded at most once: the same fingerprint on any machine.
    images = (pixels.astype(np.float32) - np.float32(64)) / np.float32(64)
    return Split(torch.from_numpy(images[:, None]), torch.from_numpy(labels.astype(np.int64)))


def _drawn(random: np.random.RandomState, labels: NDArray[np.intp], side: int) -> NDArray[np.uint8]:
    """Return images (N, side, side) of letters, 0 where there is nothing."""
    n = len(labels)
    letters = _atlas()[random.randint(len(FACES), size=n), labels]
    contrast = random.uniform(*CONTRAST, (n, 1, 1))
    values = contrast * _sampled(letters, _places(random, n, side))
    noise = random.randint(NOISE + 1, size=(4, n, side, side)).sum(0) - 2 * NOISE
    return np.clip(np.round(values) + noise, 0, 255).astype(np.uint8)


def _places(
    random: np.random.RandomState, n: int, side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and columns in the cell for the pixels of n images, (n, side, side) each."""
    # Uses the tangent of half the angle, as sines and cosines round differently between machines.
    t = random.uniform(-TURN, TURN, (n, 1, 1))
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    shear = random.uniform(-SHEAR, SHEAR, (n, 1, 1))
    height, width = random.uniform(*SCALES, (2, n, 1, 1))
    down, right = random.uniform(-SHIFT, SHIFT, (2, n, 1, 1))
    middle = (np.arange(side) + 0.5) / side - 0.5
    y, x = middle[:, None] - down, middle[None, :] - right
    y, x = (cosine * y - sine * x) / height, (sine * y + cosine * x) / width
    x = x + shear * y
    return (y + 0.5) * CELL - 0.5, (x + 0.5) * CELL - 0.5


def _sampled(
    letters: NDArray[np.uint8], places: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Interpolate cells (n, CELL, CELL) bilinearly at positions (n, side, side); 0 outside."""
    framed = np.pad(letters, ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    rows, columns = (np.clip(each + 1, 0, CELL + 0.999) for each in places)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    below, beside = rows - top, columns - left
    image = np.arange(len(letters))[:, None, None]
    upper = framed[image, top, left] * (1 - beside) + framed[image, top, left + 1] * beside
    lower = framed[image, top + 1, left] * (1 - beside) + framed[image, top + 1, left + 1] * beside
    return upper * (1 - below) + lower * below


@cache
def _atlas() -> NDArray[np.uint8]:
    """Return the letters, (faces, letters, CELL, CELL)."""
    with Image.open(ATLAS) as picture:
        pixels = np.asarray(picture.convert("L"))
    cells = pixels.reshape(len(FACES), CELL, len(LETTERS), CELL)
    return np.ascontiguousarray(cells.transpose(0, 2, 1, 3))
