"""Packages that only some agents need, imported when such an agent is made."""

from __future__ import annotations

import importlib
from typing import Any


def imported(agent: str, package: str, *others: str) -> Any:
    """A package, once the others that the agent needs are there as well, or one clear error.

    Raises:
        ImportError: one is missing; it names what to install.
    """
    try:
        found, *_ = [importlib.import_module(name) for name in (package, *others)]
    except ImportError as error:
        raise ImportError(
            f"agent {agent!r} needs {error.name}: pip install 'amc-gym[agents]' "
            f"(from a checkout: pip install -e '.[agents]')"
        ) from error
    return found
