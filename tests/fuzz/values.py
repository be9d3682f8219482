"""Values that people pass by mistake, and the many types of a number."""

from __future__ import annotations

import datetime
import enum
import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class Colour(enum.Enum):
    """An enumeration, whose members are no valid argument anywhere."""

    RED = 1


class Rude:
    """An object whose methods all raise."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


ODD: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: False,
    lambda: np.bool_(True),
    lambda: torch.tensor(True),
    lambda: 0,
    lambda: 1,
    lambda: -1,
    lambda: 2**80,
    lambda: -0.5,
    lambda: 0.5,
    lambda: 1.5,
    lambda: math.nan,
    lambda: math.inf,
    lambda: -math.inf,
    lambda: np.float32("nan"),
    lambda: torch.tensor(math.inf),
    lambda: Decimal("NaN"),
    lambda: Decimal("sNaN"),
    lambda: Fraction(1, 3),
    lambda: Fraction(10**400, 3),
    lambda: 1j,
    lambda: np.complex64(1),
    lambda: torch.tensor(1j),
    lambda: torch.empty((), device="meta"),
    lambda: np.array(0.5),
    lambda: np.array([0.5]),
    lambda: np.array([[1, 2], [3, 4]]),
    lambda: np.array("x"),
    lambda: np.array(None),
    lambda: torch.zeros(3),
    lambda: torch.zeros(0),
    lambda: torch.zeros(2, 3, 8, 8),
    lambda: "",
    lambda: "x",
    lambda: "None",
    lambda: "0.5",
    lambda: "a:b",
    lambda: ":",
    lambda: "../x:y",
    lambda: "nul\0l",
    lambda: "x" * 10_000,
    lambda: "\ud800",
    lambda: np.str_("x"),
    lambda: b"bytes",
    lambda: bytearray(b"x"),
    lambda: [],
    lambda: [0.5],
    lambda: [None],
    lambda: [[]],
    lambda: (),
    lambda: (0.5, 0.5),
    lambda: {},
    lambda: {"conv": 0.5},
    lambda: {"x": 1},
    lambda: {1: 2},
    lambda: {"conv": None, "linear": "0.5"},
    lambda: {"conv": math.nan, "linear": 0.5},
    lambda: {"reset_mask": True},
    lambda: {1, 2},
    lambda: range(3),
    lambda: range(0),
    lambda: iter([1]),
    lambda: (i for i in range(3)),
    lambda: object(),
    lambda: object,
    lambda: int,
    lambda: nn.Linear,
    lambda: len,
    lambda: lambda: 1,
    lambda: lambda a, b: 1,
    lambda: Rude(),
    lambda: Colour.RED,
    lambda: datetime.date(2026, 1, 1),
    lambda: np.datetime64(1, "s"),
    lambda: Path("nowhere") / "at-all",
    lambda: torch.float32,
    lambda: torch.device("cpu"),
    lambda: np.random.default_rng(0),
    lambda: NotImplemented,
    lambda: ...,
    lambda: ValueError("x"),
    lambda: nn.Linear(2, 2),
    lambda: math,
)
"""Functions that each make an odd value anew, as some values can be used up or written to."""


def odd(rng: random.Random) -> Any:
    """Make one of the values in ``ODD``."""
    return rng.choice(ODD)()


def spelt(rng: random.Random, number: float) -> Any:
    """Return a number as one of the types that people and libraries use."""
    ways: list[Callable[[Any], Any]] = [
        lambda x: x,
        np.float64,
        np.float32,
        lambda x: Fraction(str(x)),
        lambda x: Decimal(str(x)),
        np.array,
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.float64),
    ]
    if isinstance(number, int):
        ways += [np.int64, np.int32, np.int16 if abs(number) < 2**15 else int, float]
    return rng.choice(ways)(number)


def misspelt(rng: random.Random, name: str) -> str:
    """Return a name with one letter changed, left out or doubled, or with other capitals."""
    if not name:
        return "x"
    at = rng.randrange(len(name))
    return rng.choice(
        [
            name[:at] + name[at + 1 :],
            name[:at] + name[at] + name[at:],
            name[:at] + rng.choice("abcxyz-_ +:?&=%\n") + name[at + 1 :],
            name.upper(),
            f" {name}",
            f"{name}\0",
        ]
    )


def is_no_number(value: Any) -> bool:
    """Tell whether a value is a boolean, NaN or infinity, also in an array or tensor."""
    try:
        found = value.item() if isinstance(value, np.ndarray | np.generic | torch.Tensor) else value
        return isinstance(found, bool) or (isinstance(found, float) and not math.isfinite(found))
    except (ValueError, RuntimeError):
        return False
