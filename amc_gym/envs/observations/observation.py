"""The base class of observations: what an agent sees before it decides a unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from amc_gym.envs.allocation import Allocation


class Observation(ABC):
    """A way to observe a problem.

    Args:
        allocation: plans that need no evaluation, with the problem's network and budget.

    Attributes:
        name: value of the option ``observation``.
        summary: what is observed, in one line.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def __init__(self, allocation: Allocation) -> None: ...

    @classmethod
    @abstractmethod
    def space(cls) -> spaces.Space[Any]:
        """Return the observation space for all problems, as a new object."""

    @abstractmethod
    def observe(self, executed: Sequence[int]) -> Any:
        """Return the observation after ``executed`` counts are decided."""

    @abstractmethod
    def observe_all(self, executed: np.ndarray) -> Any:
        """Return the observations of n episodes at one unit, executed (n, t), in n rows."""
