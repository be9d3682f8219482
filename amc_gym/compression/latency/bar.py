"""The progress bar of a measurement, on stderr."""

from __future__ import annotations

from amc_gym._utils.progress import counter


class Bar:
    """Progress bar of prepared passes and finished rounds.

    Args:
        rounds: total number of rounds.
        shown: whether to show the bar.
    """

    def __init__(self, rounds: int, shown: bool) -> None:
        self._progress = counter(shown=shown)
        self._task = self._progress.add_task("preparing to measure latency", total=rounds)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def prepared(self, n: int) -> None:
        """Show that ``n`` passes are prepared."""
        self._progress.update(self._task, description=f"preparing to measure latency: {n}")

    def timed(self, rounds: int) -> None:
        """Show that ``rounds`` rounds are finished."""
        self._progress.update(self._task, completed=rounds, description="measuring latency, rounds")
