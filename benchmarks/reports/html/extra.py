"""Plotly, which draws the pages: a heavy library, and an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.studies.runs import BenchmarkError


@contextmanager
def needing_plotly() -> Iterator[None]:
    """Tell what to install where an import in this block fails for want of plotly.

    Raises:
        BenchmarkError: naming the command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "plotly":
            raise
        raise BenchmarkError(
            "report.html needs plotly: pip install -e '.[benchmarks]'; all else is written"
        ) from error
