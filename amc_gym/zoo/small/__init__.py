"""The zoo of small networks: many trained ones, of several families, to learn and test policies on.

families   what kinds there are, and how their sizes are drawn
generator  networks by name, each in one of three splits
store      the trained ones: weights and cards
"""

from amc_gym.zoo.small.generator import Member, build, draw, names
from amc_gym.zoo.small.store import Card, card, cards, load, untrained

__all__ = ["Card", "Member", "build", "card", "cards", "draw", "load", "names", "untrained"]
