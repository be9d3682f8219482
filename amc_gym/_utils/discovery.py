"""Discovery of modules that register their contents, so that no list of them is needed."""

from __future__ import annotations

import sys
from collections.abc import Container
from importlib import import_module
from pkgutil import iter_modules


def import_modules(package: str, without: Container[str] = ()) -> None:
    """Import the modules of a package, so that each registers its contents.

    Subpackages, and modules whose names begin with "_", are left out.

    Args:
        package: name of the package, which is being imported.
        without: names of further modules to leave out.
    """
    for module in iter_modules(sys.modules[package].__path__):
        if not (module.ispkg or module.name.startswith("_") or module.name in without):
            import_module(f"{package}.{module.name}")
