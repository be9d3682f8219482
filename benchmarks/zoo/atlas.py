"""``python -m benchmarks.zoo.atlas``: the picture that the data set "glyphs" is drawn from.

It is committed, so that whoever uses the data set needs no fonts, and has the same images bit for
bit whatever FreeType is installed.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amc_gym.zoo.datasets.glyphs import ATLAS, CELL, FACES, LETTERS

HEIGHT = 20
"""Pixels of the letter H; the widest letter just fits into a cell."""

SHADES = 16
"""Grey levels that are kept: a letter's edge needs no more, and the file is half as large."""


def main(out: Path = ATLAS) -> None:
    """Render each letter of each face into a cell of its own: a row of the picture is a face.

    Args:
        out: the picture.
    """
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    atlas = np.concatenate([_row(fonts / f"{face}.ttf") for face in FACES])
    shades = np.round(atlas / 255 * (SHADES - 1)).astype(np.uint8)
    picture = Image.fromarray(shades)
    picture = Image.fromarray(shades * (255 // (SHADES - 1))).quantize(SHADES)
    picture.save(out, optimize=True, bits=4)
    print(f"{out}: {len(FACES)} faces, {out.stat().st_size:,} bytes")


def _row(path: Path) -> np.ndarray:
    """The letters of a face, (CELL, letters * CELL) uint8."""
    size = next(n for n in range(10, 100) if _height(ImageFont.truetype(path, n)) >= HEIGHT)
    return np.concatenate([_cell(ImageFont.truetype(path, size), each) for each in LETTERS], axis=1)


def _height(font: ImageFont.FreeTypeFont) -> float:
    _, top, _, bottom = font.getbbox("H")
    return bottom - top


def _cell(font: ImageFont.FreeTypeFont, letter: str) -> np.ndarray:
    """A letter in the middle of its cell."""
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (CELL, CELL))
    place = ((CELL - right - left) / 2, (CELL - bottom - top) / 2)
    ImageDraw.Draw(image).text(place, letter, fill=255, font=font)
    return np.asarray(image)


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
