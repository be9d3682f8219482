"""Damage to JSON files, as strangers, editors and broken disks do it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**70,
    -(10**300),
    10**4000,
    0.0,
    -0.5,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "x" * 10_000,
    "\x1b[2J",
    "\ud800",
    "two\nlines",
    "evil:go",
    "../../etc/passwd",
    "=1+1",
    "0-3,5",
    "0-999999999",
    "0-3,2",
    "9-1",
    "[bold]",
    "</script>",
    [],
    {},
    [[]],
    [None],
    [1, 1],
    [3, 2, 1],
    [0.5, "a"],
    {"a": 1},
    {"": {}},
    [0] * 10_000,
)

Places = list[tuple[Any, Any]]
"""(container, key or index) of every value in a document."""


def places(document: Any) -> Places:
    """Return every (container, key) in a document where a value can be changed."""
    found: Places = []
    rest = [document]
    while rest:
        container = rest.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in items:
            found.append((container, key))
            if isinstance(value, dict | list) and value:
                rest.append(value)
    return found


def mutated(document: Any, rng: random.Random) -> Any:
    """Return a copy of a document with one to three random changes."""
    changed = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        found = places(changed)
        if not found:
            break
        container, key = _chosen(found, rng)
        _change(container, key, rng)
    return changed


def _chosen(found: Places, rng: random.Random) -> tuple[Any, Any]:
    """Choose a place, half of the time outside of lists: long lists hold most places."""
    named = [place for place in found if isinstance(place[0], dict)]
    return rng.choice(named if named and rng.random() < 0.5 else found)


def _change(container: Any, key: Any, rng: random.Random) -> None:
    kind = rng.randrange(6)
    value = container[key]
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(("x", "", "\x1b", key.upper()))] = container.pop(key)
    elif kind == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = rng.choice(
            (value + 1, -value, value * 2, value / 1 if abs(value) < 2**63 else 0, "7")
        )
    elif kind == 3 and isinstance(value, list):
        container[key] = rng.choice((value[::-1], value * 2, value[:1], {"0": value}, value[0:0]))
    elif kind in (2, 3) and isinstance(value, str) and value:
        container[key] = rng.choice((value[:-1], value[1:], value + ",0", value * 2, f"0-{value}"))
    elif kind == 4 and isinstance(container, dict):
        container[rng.choice(("more", "format", "sha256", "__class__"))] = _odd(rng)
    else:
        container[key] = _odd(rng)


def _odd(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(ODD))  # a copy, as a later change may alter it


TEXTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda text, rng: text[: rng.randrange(len(text))],
    lambda text, rng: text[rng.randrange(len(text)) :],
    lambda text, rng: text + text,
    lambda text, rng: b"",
    lambda text, rng: b"\xff\xfe" + text.decode().encode("utf-16-le"),
    lambda text, rng: b"\xef\xbb\xbf" + text,
    lambda text, rng: b"[" * 100_000,
    lambda text, rng: b'{"a":' * 100_000,
    lambda text, rng: b"9" * 100_000,
    lambda text, rng: b"NaN",
    lambda text, rng: text.replace(b"{", b'{"format": 1, "format": 2, ', 1),
    lambda text, rng: rng.randbytes(rng.randrange(1, 300)),
    lambda text, rng: _scribbled(text, rng),
    lambda text, rng: b"\x80\x04K\x01.",
    lambda text, rng: text.replace(b"1", b"NaN", 1),
    lambda text, rng: text.replace(b"1", b"1e999", 1),
)


def _scribbled(text: bytes, rng: random.Random) -> bytes:
    content = bytearray(text)
    for _ in range(rng.randint(1, 5)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def damaged(
    document: dict[str, Any], seal: Callable[[dict[str, Any]], dict[str, Any]], rng: random.Random
) -> bytes:
    """Return the bytes of a file that was damaged or changed.

    Args:
        document: Content of a valid file.
        seal: Puts the checksums of a changed document right, as a careful cheat would.
        rng: Source of all random choices.
    """
    if rng.random() < 0.25:
        return rng.choice(TEXTS)(json.dumps(document).encode(), rng)
    changed = mutated(document, rng)
    if rng.random() < 0.8:
        changed = seal(changed)
    return json.dumps(changed).encode()
