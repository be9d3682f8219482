"""``python -m benchmarks.zoo.atlas``: the picture that the data set "glyphs" is drawn from.

It is committed, so that users of the data set need no fonts and get the same images, bit for bit,
with any version of FreeType.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amc_gym.zoo.datasets import load
from amc_gym.zoo.datasets.glyphs import ATLAS, CELL, FACES, LETTERS

SAMPLES = Path(__file__).parents[2] / "docs" / "glyphs.png"

HEIGHT = 20
"""Height of the letter H in pixels, with which the widest letter just fits into a cell."""

SHADES = 16
"""Number of grey levels: enough for a letter's edge, and the file is half as large."""


SHOWN = (3, 14)
"""Rows and columns of the picture of samples."""


def main(out: Path = ATLAS, samples: Path = SAMPLES) -> None:
    """Render each letter into a cell of its own, in one row of the picture for each typeface.

    Args:
        out: the picture.
        samples: picture for the docs, with samples of the data set.
    """
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    atlas = np.concatenate([_row(fonts / f"{face}.ttf") for face in FACES])
    _save(atlas, SHADES, out)
    _show(samples)
    print(f"{out}: {len(FACES)} faces, {out.stat().st_size:,} bytes; samples in {samples}")


def _show(path: Path) -> None:
    """Draw the first reward images side by side."""
    rows, columns = SHOWN
    images = load("glyphs").reward.images[: rows * columns, 0].numpy() * 64 + 64
    side = images.shape[-1]
    tiles = images.reshape(rows, columns, side, side).transpose(0, 2, 1, 3)
    _save(tiles.reshape(rows * side, columns * side), SHADES // 2, path)


def _save(pixels: np.ndarray, shades: int, path: Path) -> None:
    """Write a grey picture with a given number of shades, from values 0 to 255."""
    levels = np.round(pixels / 255 * (shades - 1)) * (255 // (shades - 1))
    picture = Image.fromarray(levels.astype(np.uint8)).quantize(shades)
    picture.save(path, optimize=True, bits=4)


def _row(path: Path) -> np.ndarray:
    """Return the letters of a typeface, (CELL, letters * CELL) uint8."""
    size = next(n for n in range(10, 100) if _height(ImageFont.truetype(path, n)) >= HEIGHT)
    return np.concatenate([_cell(ImageFont.truetype(path, size), each) for each in LETTERS], axis=1)


def _height(font: ImageFont.FreeTypeFont) -> float:
    _, top, _, bottom = font.getbbox("H")
    return bottom - top


def _cell(font: ImageFont.FreeTypeFont, letter: str) -> np.ndarray:
    """Return a letter, centred in its cell."""
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (CELL, CELL))
    place = ((CELL - right - left) / 2, (CELL - bottom - top) / 2)
    ImageDraw.Draw(image).text(place, letter, fill=255, font=font)
    return np.asarray(image)


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
