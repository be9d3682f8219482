"""The error of exports."""

from __future__ import annotations

import re

from amc_gym._utils.names import printable

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
"""Pattern of the escape sequences by which libraries colour their messages."""


class ExportError(ValueError):
    """Raised for networks that cannot be exported, and for files that do not hold one."""


def reason_of(error: Exception) -> str:
    """Return in one line why a library could not convert a network.

    Converters say that they failed, and what they failed at in the error that caused it.
    """
    line = str(error.__cause__ or error).strip().partition("\n")[0]
    return printable(ESCAPES.sub("", line), 200)
