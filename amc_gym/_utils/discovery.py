"""Modules of a folder that register what they hold, found without a list of them."""

from __future__ import annotations

import sys
from collections.abc import Container
from importlib import import_module
from pkgutil import iter_modules


def import_modules(package: str, without: Container[str] = ()) -> None:
    """Import the modules of a package, so that each registers its own.

    Packages inside it are left out, and modules whose names begin with "_".

    Args:
        package: its name; it is being imported.
        without: names of more modules to leave out.
    """
    for module in iter_modules(sys.modules[package].__path__):
        if not (module.ispkg or module.name.startswith("_") or module.name in without):
            import_module(f"{package}.{module.name}")
