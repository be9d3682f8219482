"""Ascending channel numbers as text: "0-3,5,8-15" is 0, 1, 2, 3, 5, 8, 9, ..., 15."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 2**22
"""Channels that a plan may keep in all; ResNet-50 has 26,560.

A text of eleven letters can ask for a billion, so sizes are compared before any range is listed.
"""

_RANGE = re.compile(r"(0|[1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}))?")


def encode(channels: Iterable[int]) -> str:
    """Write channels as ranges, both ends included; neighbours are joined.

    Raises:
        ValueError: they are no whole numbers from 0 on, do not ascend, or there are none.
    """
    parts: list[str] = []
    first = last = -1
    for channel in channels:
        if type(channel) is not int:
            raise ValueError("are no whole numbers")
        if channel == last + 1 and parts:
            last = channel
            continue
        if channel <= last:
            raise ValueError("do not ascend from 0 on")
        if last > first:
            parts[-1] += f"-{last}"
        parts.append(str(channel))
        first = last = channel
    if not parts:
        raise ValueError("are none, and one at least has to stay")
    if last > first:
        parts[-1] += f"-{last}"
    return ",".join(parts)


def decode(text: str) -> tuple[range, ...]:
    """Read what ``encode`` wrote; nothing is listed, so that sizes can be compared first.

    Raises:
        ValueError: it says something else, or numbers that do not ascend.
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
