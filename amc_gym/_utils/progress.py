"""Progress bars."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def counter(*, shown: bool = True) -> Progress:
    """Return a progress bar on stderr: finished and total counts, and the remaining time.

    A finished task shows its elapsed time instead.

    Args:
        shown: whether to show the bar; if not, all calls do nothing.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        disable=not shown,
    )
