"""Drawing of a frame: the network's cost so far, and what each unit keeps."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from amc_gym.envs.rendering import Frame

WIDTH, HEIGHT = 600, 400

LEFT, RIGHT = 52, 588
"""Left and right end of the meter and the bars, in pixels."""

METER = (46, 66)
"""Top and bottom of the bar that shows the cost."""

BARS = (112, 258)
"""Top (all channels) and bottom (none) of the units' bars."""

NAMED, COUNTED = 12, 22
"""Least width in pixels at which a unit's name, and its channel count, are readable."""

LONGEST = 24
"""Most letters of a unit's name below its bar."""

PAPER, INK, GREY, FULL = "#ffffff", "#22272e", "#59636e", "#dde2e8"
KEPT, NOW, BUDGET = "#0072B2", "#D55E00", "#C2185B"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def rgb_array(frame: Frame) -> np.ndarray:
    """Draw cost, budget and the kept share of each unit, (400, 600, 3) uint8."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    _headline(draw, frame)
    _meter(draw, frame)
    _scale(draw)
    _units(image, draw, frame)
    return np.asarray(image)


def _headline(draw: ImageDraw.ImageDraw, frame: Frame) -> None:
    """Write which unit is next or, for a finished plan, its score."""
    decided, n = len(frame.executed), len(frame.channels)
    if decided < n:
        text = f"Unit {decided + 1} of {n}: {_short(frame.names[decided])}"
    else:
        text = f"All {n} units decided"
    draw.text((12, 12), text, fill=INK, font=_font(18))
    if frame.score is not None:
        said = f"{frame.score_name} {frame.score:.1%}"
        draw.text((RIGHT, 12), said, fill=KEPT, font=_font(18), anchor="ra")


def _meter(draw: ImageDraw.ImageDraw, frame: Frame) -> None:
    """Draw the network's cost so far, with a line at the budget."""
    top, bottom = METER
    middle = (top + bottom) / 2
    width = RIGHT - LEFT
    draw.text((12, middle), _resource(frame), fill=INK, font=_font(13), anchor="lm")
    draw.rectangle((LEFT, top, RIGHT, bottom), fill=FULL)
    end = LEFT + width * min(1.0, frame.ratio)
    draw.rectangle((LEFT, top, end, bottom), fill=KEPT)
    cost = f"{frame.ratio:.1%}"
    inside = end - LEFT > 60
    place, anchor = (end - 6, "rm") if inside else (end + 6, "lm")
    draw.text((place, middle), cost, fill=PAPER if inside else INK, font=_font(13), anchor=anchor)
    if frame.budget is None:
        return
    at = LEFT + width * frame.budget
    draw.line((at, top - 5, at, bottom + 5), fill=BUDGET, width=3)
    left = frame.budget < 0.8
    said = f"budget {frame.budget:.0%}"
    draw.text((at, bottom + 8), said, fill=BUDGET, font=_font(13), anchor="la" if left else "ra")


def _resource(frame: Frame) -> str:
    """Return the name of the resource, shortened to fit."""
    known = {"macs": "MACs", "params": "params", "latency": "time"}
    return known.get(frame.resource, frame.resource[:5])


def _scale(draw: ImageDraw.ImageDraw) -> None:
    top, bottom = BARS
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        draw.line((LEFT - 4, y, RIGHT, y), fill=FULL)
        draw.text((LEFT - 7, y), f"{share:.0%}", fill=GREY, font=_font(12), anchor="rm")
    draw.text((12, top - 22), "kept channels", fill=GREY, font=_font(12), anchor="lm")


def _units(image: Image.Image, draw: ImageDraw.ImageDraw, frame: Frame) -> None:
    """Draw a bar for each unit, its name below and its number of kept channels above."""
    top, bottom = BARS
    decided = len(frame.executed)
    slot = (RIGHT - LEFT) / len(frame.channels)
    every = math.ceil(NAMED / slot)
    for index, channels in enumerate(frame.channels):
        left = LEFT + index * slot
        right = left + max(1.0, 0.8 * slot)
        draw.rectangle((left, top, right, bottom), fill=FULL)
        count, colour = channels, GREY
        if index < decided:
            count, colour = frame.executed[index], KEPT
            level = bottom - (bottom - top) * count / channels
            draw.rectangle((left, level, right, bottom), fill=KEPT)
        elif index == decided:
            colour = NOW
            draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=NOW, width=2)
        middle = (left + right) / 2
        if slot >= COUNTED:
            draw.text((middle, top - 4), str(count), fill=colour, font=_font(11), anchor="mb")
        if index % every == 0 or index == decided:
            _upright(image, _short(frame.names[index]), middle, bottom + 6, colour)


def _upright(image: Image.Image, text: str, middle: float, top: float, colour: str) -> None:
    """Write upwards, ending at ``top``."""
    font = _font(11)
    width, height = math.ceil(font.getlength(text)) + 2, 16
    label = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(label).text((1, height / 2), text, fill=colour, font=font, anchor="lm")
    turned = label.rotate(90, expand=True)
    image.paste(turned, (round(middle - height / 2), round(top)))


def _short(name: str) -> str:
    """Return a name, without its middle if it is too long."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 11]}..{name[-9:]}"
