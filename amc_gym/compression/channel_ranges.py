"""Ascending channel numbers as text: "0-3,5,8-15" is 0, 1, 2, 3, 5, 8, 9, ..., 15."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 2**22
"""Most channels that a plan may keep in total; ResNet-50 has 26,560.

A text of eleven characters can stand for a billion, so sizes are checked before ranges are listed.
"""

_RANGE = re.compile(r"(0|[1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}))?")


def encode(channels: Iterable[int]) -> str:
    """Return channels as text: ranges with both ends included.

    Raises:
        ValueError: the channels are not whole numbers from 0, do not ascend, or there are none.
    """
    parts: list[str] = []
    first = last = -1
    for channel in channels:
        if type(channel) is not int:
            raise ValueError("are not whole numbers")
        if channel == last + 1 and parts:
            last = channel
            continue
        if channel <= last:
            raise ValueError("do not ascend from 0")
        if last > first:
            parts[-1] += f"-{last}"
        parts.append(str(channel))
        first = last = channel
    if not parts:
        raise ValueError("are none, and at least one must be kept")
    if last > first:
        parts[-1] += f"-{last}"
    return ",".join(parts)


def decode(text: str) -> tuple[range, ...]:
    """Parse the text of ``encode`` into ranges, which are not listed, so that sizes can be checked.

    Raises:
        ValueError: the text is anything else, or its numbers do not ascend.
    """
    found: list[range] = []
    end = 0
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError('should be ranges of channels such as "0-3,5,8-15"')
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if first < end or (match[2] is not None and last <= first):
            raise ValueError("should ascend")
        found.append(range(first, last + 1))
        end = last + 1
    return tuple(found)
