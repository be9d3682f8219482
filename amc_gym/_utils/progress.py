"""The progress bar of whatever can be counted."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def counter(*, shown: bool = True) -> Progress:
    """Return a bar on stderr: what is done, how many of how many, and the time that is left.

    What is finished shows the time that it took.

    Args:
        shown: whether there is a bar; without it all calls do nothing.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        disable=not shown,
    )
