"""The table of environment ids."""

from __future__ import annotations

from amc_gym.registration import IDS
from amc_gym.zoo import models
from benchmarks.reports import tables


def environments() -> list[str]:
    """Return each id with its network, and the share that is kept by default on each data set."""
    rows = []
    for id_, network in IDS.items():
        variants = models.NETWORKS[network].variants
        shares = (f"{name} {entry.preserve_ratio:.0%}" for name, entry in variants.items())
        rows.append([id_, network, ", ".join(shares)])
    return tables.markdown(["id", "network", "data sets, and the share of the MACs kept"], rows)
