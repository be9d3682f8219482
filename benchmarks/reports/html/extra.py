"""The check for plotly, which draws the pages and is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.studies.runs import BenchmarkError


@contextmanager
def needing_plotly() -> Iterator[None]:
    """Turn a failed import of plotly within the block into an error that says what to install.

    Raises:
        BenchmarkError: plotly is missing; the message names the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "plotly":
            raise
        raise BenchmarkError(
            "report.html needs plotly: pip install -e '.[benchmarks]'; everything else is written"
        ) from error
