"""The zoo of small networks: many trained ones, of several families, to train and test policies on.

families   the kinds of networks, and how their sizes are drawn
generator  networks by name, each in one of three splits
store      the trained networks: weights and cards
"""

from amc_gym.zoo.small.generator import Member, build, draw, names
from amc_gym.zoo.small.store import Card, card, cards, load, untrained

__all__ = ["Card", "Member", "build", "card", "cards", "draw", "load", "names", "untrained"]
