"""Tables of ``docs/networks.md``, made from the committed rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from benchmarks.networks.command import FILE
from benchmarks.networks.records import load
from benchmarks.reports.tables import markdown

Row = Mapping[str, Any]

OURS = ("pruned", "partly", "refused", "fails", "hangs")
PEERS = ("right", "differs", "fails", "hangs", "nothing", "unjudged")


def networks(what: str = "all") -> list[str]:
    """Return rows of networks: "all", a "summary", or the "rest" that is not pruned enough."""
    rows: list[Row] = list(load(FILE).values())
    if what == "summary":
        return _summary(rows)
    if what == "rest":
        short = [row for row in rows if row["verdict"] != "pruned"]
        cells = [
            [row["network"], row["verdict"], _share(row, "smallest"), row["why"]] for row in short
        ]
        header = ["network", "verdict", "smallest, %", "why, or why some layers stay whole"]
        return markdown(header, cells, words=4)
    header = ["network", "units", "whole", "s", "smallest, %", "built, %", "here", "Torch-Pruning"]
    return markdown(header, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    counts = ["" if row[name] is None else str(row[name]) for name in ("units", "fixed")]
    theirs = row["peer_verdict"] or ""
    if row["peer_seconds"] is not None:
        theirs += f", {row['peer_seconds']:.1f} s"
    shares = _share(row, "smallest"), _share(row, "built")
    name = row["network"].replace("torchvision:", "tv:").removeprefix("timm:")
    return [name, *counts, f"{row['seconds'] or 0:.1f}", *shares, row["verdict"], theirs]


def _share(row: Row, name: str) -> str:
    return "" if row[name] is None else f"{100 * row[name]:.1f}"


def _summary(rows: list[Row]) -> list[str]:
    """Return the number of networks by verdict, for both libraries."""
    ours, theirs = (
        Counter(row[key] for row in rows if row[key]) for key in ("verdict", "peer_verdict")
    )
    cells = [["here", _counted(ours, OURS)], ["Torch-Pruning", _counted(theirs, PEERS)]]
    return markdown(["", f"{len(rows)} networks"], cells, words=2)


def _counted(found: Counter[str], order: tuple[str, ...]) -> str:
    return ", ".join(f"{found[name]} {name}" for name in order if found[name])
