"""The table of bundled weights."""

from __future__ import annotations

from amc_gym.zoo import bundled
from benchmarks.filling.cells import percent
from benchmarks.reports import tables

COLUMNS = ("network", "width", "parameters, M", "MACs, M", "epochs", "reward %", "test %")


def weights(dataset: str) -> list[str]:
    """Return the networks whose weights for a data set are bundled, as their cards describe them.

    Args:
        dataset: name of the data set; all its cards state the same numbers of images.
    """
    cards = [card for card in bundled.cards() if card["dataset"] == dataset]
    rows = [
        [
            card["network"],
            str(card["architecture"].get("width", 1)),
            f"{card['parameters'] / 1e6:.2f}",
            f"{card['macs'] / 1e6:.1f}",
            str(card["recipe"]["epochs"]),
            percent(card["accuracy"]["reward"]["top1"]),
            percent(card["accuracy"]["test"]["top1"], 2),
        ]
        for card in cards
    ]
    return tables.markdown(COLUMNS, rows)
