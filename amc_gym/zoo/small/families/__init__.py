"""Families of small networks by name."""

from __future__ import annotations

from amc_gym._utils.discovery import import_modules
from amc_gym.zoo.small.families.family import FAMILIES, Family, Sizes, register

__all__ = ["FAMILIES", "Family", "Sizes", "register"]

import_modules(__name__)
