"""Observation: what an agent sees of the unit that it decides next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from amc_gym.envs.allocation import Allocation


class Observation(ABC):
    """One way to see a problem.

    Args:
        allocation: plans of the problem that are known before, its network and its budget.

    Attributes:
        name: what the option ``observation`` calls it.
        summary: what is seen, in one line.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def __init__(self, allocation: Allocation) -> None: ...

    @classmethod
    @abstractmethod
    def space(cls) -> spaces.Space[Any]:
        """Values that are seen, of whatever problem; a new object."""

    @abstractmethod
    def observe(self, executed: Sequence[int]) -> Any:
        """Observation once ``executed`` counts are decided."""

    @abstractmethod
    def observe_all(self, executed: np.ndarray) -> Any:
        """Observations of n episodes that stand at one unit, executed (n, t): n rows of each."""
