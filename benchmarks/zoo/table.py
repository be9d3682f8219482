"""Tables of ``docs/zoo.md``, made from the cards that come with the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from amc_gym._utils.names import choose
from amc_gym.zoo.small import Card, cards
from benchmarks.reports.tables import markdown

SPLITS = ("train", "members", "family")


def zoo(what: str = "all") -> list[str]:
    """Return rows of small networks: "all" of them, or their "families"."""
    return {"all": _all, "families": _families}[choose("zoo", what, ("all", "families"))]()


def _all() -> list[str]:
    header = ["network", "pixels", "split", "parameters", "MACs, M", "test %", "keep %"]
    rows = [
        [
            name,
            str(card.input_shape[1]),
            card.split,
            f"{card.parameters:,}",
            f"{card.macs / 1e6:.2f}",
            f"{100 * card.accuracy['test'].top1:.1f}",
            f"{100 * card.preserve_ratio:.0f}",
            f"{card.uniform_loss:.1f}",
        ]
        for name, card in sorted(cards().items())
    ]
    return markdown([*header, "uniform loses"], rows, words=3)


def _families() -> list[str]:
    header = ["family", *SPLITS, "parameters, k", "MACs, M", "test %", "keep %", "uniform loses"]
    rows = []
    for family in dict.fromkeys(card.family for card in cards().values()):
        mine = [card for card in cards().values() if card.family == family]
        counts = Counter(card.split for card in mine)
        rows.append(
            [
                family,
                *(str(counts[split] or "") for split in SPLITS),
                _range(mine, lambda card: card.parameters / 1000, 0),
                _range(mine, lambda card: card.macs / 1e6, 1),
                _range(mine, lambda card: 100 * card.accuracy["test"].top1, 1),
                _range(mine, lambda card: 100 * card.preserve_ratio, 0),
                _range(mine, lambda card: card.uniform_loss, 1),
            ]
        )
    return markdown(header, sorted(rows))


def _range(found: Sequence[Card], of: Callable[[Card], float], digits: int) -> str:
    """Return the range from least to greatest, as text."""
    values = [of(card) for card in found]
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"
