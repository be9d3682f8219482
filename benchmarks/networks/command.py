"""``python -m benchmarks networks``: tries every network of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from amc_gym.cli.console import printer

FILE = Path(__file__).parents[1] / "results" / "networks.parquet"
"""File of the committed rows."""


def networks(
    out: Path = FILE,
    only: Annotated[str, arg(metavar="TEXT")] = "",
    seconds: float = 30.0,
    rerun: Literal["here", "peer", "both"] | None = None,
) -> int:
    """Trace many networks of torchvision and timm, and prune them by Torch-Pruning for comparison.

    Networks that the file already holds are skipped, so that an interrupted run continues where it
    stopped.  Each network is built with random weights and tried in its own process, first all by
    our tracer and then by Torch-Pruning.

    Args:
        out: File of the results.
        only: Only networks with this text in their names.
        seconds: CPU time that either library may take for one network.
        rerun: Try networks again that the file holds: by ours, by Torch-Pruning, or by both.

    Examples:
        python -m benchmarks networks --only resnet
    """
    # Imported here, so that forked processes inherit them, and other commands do not wait.
    import timm  # noqa: F401
    import torch_pruning  # noqa: F401

    from benchmarks.networks.catalogue import ENTRIES
    from benchmarks.networks.ours import ours
    from benchmarks.networks.peer import peer
    from benchmarks.networks.records import load, save
    from benchmarks.networks.trials import tried

    console = printer()
    for prefix, library, trial in (("", "here", ours), ("peer_", "peer", peer)):
        for entry in (entry for entry in ENTRIES if only in str(entry)):
            rows = load(out)
            row = rows.setdefault(str(entry), {"network": str(entry)})
            if row.get(f"{prefix}verdict") is not None and rerun not in (library, "both"):
                continue
            found = tried(trial, entry, seconds)
            row |= {f"{prefix}{key}": value for key, value in found.items()}
            save(out, {str(each): rows[str(each)] for each in ENTRIES if str(each) in rows})
            said = f"{entry}, {library}: {found['verdict']}, {found['seconds']} s"
            console.print(said, highlight=False, soft_wrap=True, markup=False)
    return 0
